/* Repeats calls that were made before: the same activation, options, dtypes and
 * shapes. Such a call builds no message and reads none, so that a small one
 * costs little more than in C. actserve/_library.py loads it, and the rest
 * of the package works without it.
 *
 * For every Python from 3.10 on (the stable interface), and for NumPy
 * from 1.19.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_19_API_VERSION
#include <numpy/arrayobject.h>
#include <pthread.h>
#include <stdint.h>

#include "client/c/actserve.h"

enum { kMaxTensors = 8, kMaxRank = 8, kNumSlots = 256, kMaxPrefix = 11 };

typedef actserve_status* (*CallFunction)(actserve_client*,
                                         actserve_encoded_call*,
                                         actserve_reply**);

/* A tensor of a call. */
typedef struct Spec {
  PyArray_Descr* dtype;
  int rank;
  npy_intp shape[kMaxRank];
  npy_intp size_bytes;
} Spec;

/* A call that was made. Immutable, and counted under the GIL. */
typedef struct Entry {
  int num_references;
  const char* method;
  PyObject* activation;
  PyObject* options;
  PyObject* header;
  /* For each output its name; NULL: there is one, which is returned itself. */
  PyObject* names;
  int num_inputs;
  int num_outputs;
  Spec inputs[kMaxTensors];
  Spec outputs[kMaxTensors];
  uint8_t prefixes[kMaxTensors][kMaxPrefix];
  size_t prefix_sizes[kMaxTensors];
} Entry;

typedef struct Calls {
  PyObject ob_base;
  CallFunction call;
  actserve_client* client;
  /* Ends the client when nobody refers to it. */
  PyObject* owner;
  unsigned forks;
  Entry* slots[kNumSlots];
} Calls;

/* A call of an entry, whose arrays are given by their addresses. */
typedef struct Prepared {
  PyObject ob_base;
  Calls* calls;
  Entry* entry;
} Prepared;

static PyTypeObject* prepared_type = NULL;

/* How often this process is a child: threads do not follow a fork. */
static unsigned num_forks = 0;
static void CountFork(void) { ++num_forks; }

static void Release(Entry* entry) {
  if (entry == NULL || --entry->num_references > 0) return;
  for (int i = 0; i < entry->num_inputs; ++i)
    Py_XDECREF(entry->inputs[i].dtype);
  for (int i = 0; i < entry->num_outputs; ++i) {
    Py_XDECREF(entry->outputs[i].dtype);
  }
  Py_XDECREF(entry->activation);
  Py_XDECREF(entry->options);
  Py_XDECREF(entry->header);
  Py_XDECREF(entry->names);
  PyMem_Free(entry);
}

static int IsPlain(PyObject* object) {
  return PyArray_CheckExact(object) &&
         PyArray_IS_C_CONTIGUOUS((PyArrayObject*)object) &&
         PyArray_NDIM((PyArrayObject*)object) <= kMaxRank;
}

static int Fits(const Spec* spec, PyArrayObject* array) {
  const int rank = PyArray_NDIM(array);
  if (PyArray_DESCR(array) != spec->dtype || rank != spec->rank) return 0;
  const npy_intp* const shape = PyArray_DIMS(array);
  for (int i = 0; i < rank; ++i) {
    if (shape[i] != spec->shape[i]) return 0;
  }
  return 1;
}

static void SetSpec(Spec* spec, PyArrayObject* array) {
  spec->dtype = PyArray_DESCR(array);
  Py_INCREF(spec->dtype);
  spec->rank = PyArray_NDIM(array);
  for (int i = 0; i < spec->rank; ++i) spec->shape[i] = PyArray_DIMS(array)[i];
  spec->size_bytes = PyArray_NBYTES(array);
}

/* By identity: an equal activation that is another object has its own slot. */
static size_t SlotOf(const char* method, PyObject* activation,
                     PyArrayObject* first) {
  uintptr_t hash = (uintptr_t)activation / 16 * 31 + (uintptr_t)method;
  hash = hash * 31 + (uintptr_t)PyArray_DESCR(first) / 16;
  for (int i = 0; i < PyArray_NDIM(first); ++i) {
    hash = hash * 31 + (uintptr_t)PyArray_DIMS(first)[i];
  }
  return (hash ^ hash >> 8 ^ hash >> 16) % kNumSlots;
}

static const char* MethodOf(PyObject* is_backward) {
  return is_backward == Py_True ? "Backward" : "Forward";
}

/* 1 if equal; options are None, or a tuple of plain values. */
static int SameOptions(PyObject* a, PyObject* b) {
  if (a == b) return 1;
  if (a == Py_None || b == Py_None) return 0;
  const int same = PyObject_RichCompareBool(a, b, Py_EQ);
  if (same < 0) PyErr_Clear();
  return same == 1;
}

/* The inputs and what follows them; their number, or -1. */
static int Collect(PyObject* inputs, PyObject* upstream,
                   PyArrayObject* arrays[kMaxTensors]) {
  const Py_ssize_t num_inputs = PyTuple_Size(inputs);
  if (num_inputs < 1 || num_inputs >= kMaxTensors) return -1;
  for (Py_ssize_t i = 0; i < num_inputs; ++i) {
    PyObject* const input = PyTuple_GetItem(inputs, i);
    if (!IsPlain(input)) return -1;
    arrays[i] = (PyArrayObject*)input;
  }
  if (upstream == Py_None) return (int)num_inputs;
  if (!IsPlain(upstream)) return -1;
  arrays[num_inputs] = (PyArrayObject*)upstream;
  return (int)num_inputs + 1;
}

/* remember(is_backward, activation, inputs, upstream, options, header, outputs,
 * names): makes run() answer such calls. */
static PyObject* Remember(PyObject* self, PyObject* const* args,
                          Py_ssize_t num_args) {
  Calls* const calls = (Calls*)self;
  PyArrayObject* arrays[kMaxTensors];
  if (num_args != 8 || !PyTuple_Check(args[2]) || !PyBytes_Check(args[5]) ||
      !PyTuple_Check(args[6])) {
    PyErr_SetString(PyExc_TypeError, "remember() takes 8 arguments");
    return NULL;
  }
  const int num_inputs = Collect(args[2], args[3], arrays);
  const Py_ssize_t num_outputs = PyTuple_Size(args[6]);
  if (num_inputs < 0 || num_outputs > kMaxTensors) Py_RETURN_NONE;
  for (Py_ssize_t i = 0; i < num_outputs; ++i) {
    if (!IsPlain(PyTuple_GetItem(args[6], i))) Py_RETURN_NONE;
  }
  Entry* const entry = PyMem_Calloc(1, sizeof(Entry));
  if (entry == NULL) return PyErr_NoMemory();
  entry->num_references = 1;
  entry->method = MethodOf(args[0]);
  entry->activation = Py_NewRef(args[1]);
  entry->options = Py_NewRef(args[4]);
  entry->header = Py_NewRef(args[5]);
  entry->names = args[7] == Py_None ? NULL : Py_NewRef(args[7]);
  entry->num_inputs = num_inputs;
  entry->num_outputs = (int)num_outputs;
  for (int i = 0; i < num_inputs; ++i) {
    SetSpec(&entry->inputs[i], arrays[i]);
    /* The tag of a payload, field 15, and its length. */
    uint8_t* const prefix = entry->prefixes[i];
    size_t size = 0;
    prefix[size++] = 15 << 3 | 2;
    uint64_t left = (uint64_t)entry->inputs[i].size_bytes;
    for (; left >= 0x80; left >>= 7) prefix[size++] = (uint8_t)(left | 0x80);
    prefix[size++] = (uint8_t)left;
    entry->prefix_sizes[i] = size;
  }
  for (int i = 0; i < entry->num_outputs; ++i) {
    SetSpec(&entry->outputs[i], (PyArrayObject*)PyTuple_GetItem(args[6], i));
  }
  Entry** const slot =
      &calls->slots[SlotOf(entry->method, entry->activation, arrays[0])];
  Entry* const old = *slot;
  *slot = entry;
  Release(old);
  Py_RETURN_NONE;
}

/* Takes the outputs from `out`: an array, or a dict of all names. 0: they need
 * more care. */
static int TakeOutputs(const Entry* entry, PyObject* out,
                       PyObject* outputs[kMaxTensors]) {
  if (entry->names != NULL &&
      (!PyDict_CheckExact(out) || PyDict_Size(out) != entry->num_outputs)) {
    return 0;
  }
  for (int i = 0; i < entry->num_outputs; ++i) {
    PyObject* place = out;
    if (entry->names != NULL) {
      place = PyDict_GetItem(out, PyTuple_GetItem(entry->names, i));
    }
    if (place == NULL || !IsPlain(place) ||
        !Fits(&entry->outputs[i], (PyArrayObject*)place) ||
        !PyArray_ISWRITEABLE((PyArrayObject*)place)) {
      while (i > 0) Py_DECREF(outputs[--i]);
      return 0;
    }
    outputs[i] = Py_NewRef(place);
  }
  return 1;
}

/* Where the outputs go: to `out`, or new arrays. 0: `out` needs more care. */
static int MakeOutputs(const Entry* entry, PyObject* out,
                       PyObject* outputs[kMaxTensors]) {
  if (out != Py_None) return TakeOutputs(entry, out, outputs);
  for (int i = 0; i < entry->num_outputs; ++i) {
    const Spec* const spec = &entry->outputs[i];
    Py_INCREF(spec->dtype);
    outputs[i] = PyArray_Empty(spec->rank, spec->shape, spec->dtype, 0);
    if (outputs[i] == NULL) {
      while (i > 0) Py_DECREF(outputs[--i]);
      return -1;
    }
  }
  return 1;
}

/* Where the arrays of a call lie: the inputs, then the outputs. */
typedef struct Addresses {
  void* inputs[kMaxTensors];
  void* outputs[kMaxTensors];
} Addresses;

/* NULL; or of a call that failed a tuple: the address of its actserve_status,
 * and the place of the server that answered with it. */
static PyObject* Send(Calls* calls, const Entry* entry,
                      const Addresses* addresses, int* failed) {
  actserve_bytes parts[1 + 2 * kMaxTensors];
  actserve_bytes places[kMaxTensors];
  actserve_encoded_call call = {0};
  call.size = sizeof(call);
  call.method = entry->method;
  call.parts = parts;
  call.num_parts = 1 + 2 * (size_t)entry->num_inputs;
  call.outputs = places;
  call.num_outputs = (size_t)entry->num_outputs;
  parts[0].data = PyBytes_AsString(entry->header);
  parts[0].size = (size_t)PyBytes_Size(entry->header);
  for (int i = 0; i < entry->num_inputs; ++i) {
    parts[1 + 2 * i].data = (void*)entry->prefixes[i];
    parts[1 + 2 * i].size = entry->prefix_sizes[i];
    parts[2 + 2 * i].data = addresses->inputs[i];
    parts[2 + 2 * i].size = (size_t)entry->inputs[i].size_bytes;
  }
  for (int i = 0; i < entry->num_outputs; ++i) {
    places[i].data = addresses->outputs[i];
    places[i].size = (size_t)entry->outputs[i].size_bytes;
  }
  PyThreadState* const state = PyEval_SaveThread();
  actserve_status* const status = calls->call(calls->client, &call, NULL);
  PyEval_RestoreThread(state);
  *failed = status != NULL;
  if (status == NULL) return NULL;
  return Py_BuildValue("(NK)", PyLong_FromVoidPtr(status),
                       (unsigned long long)call.place);
}

static PyObject* Result(const Entry* entry, PyObject* const* outputs) {
  if (entry->names == NULL) return Py_NewRef(outputs[0]);
  PyObject* const named = PyDict_New();
  for (int i = 0; named != NULL && i < entry->num_outputs; ++i) {
    PyObject* const name = PyTuple_GetItem(entry->names, i);
    if (name == NULL || PyDict_SetItem(named, name, outputs[i]) != 0) {
      Py_DECREF(named);
      return NULL;
    }
  }
  return named;
}

/* The entry of such a call, or NULL; never an error. `arrays` are filled. */
static Entry* Find(Calls* calls, PyObject* is_backward, PyObject* activation,
                   PyObject* inputs, PyObject* upstream, PyObject* options,
                   PyArrayObject* arrays[kMaxTensors]) {
  const int num_inputs = Collect(inputs, upstream, arrays);
  if (num_inputs < 0 || calls->forks != num_forks) return NULL;
  const char* const method = MethodOf(is_backward);
  Entry* const entry = calls->slots[SlotOf(method, activation, arrays[0])];
  if (entry == NULL || entry->method != method ||
      entry->activation != activation || entry->num_inputs != num_inputs ||
      !SameOptions(entry->options, options)) {
    return NULL;
  }
  for (int i = 0; i < num_inputs; ++i) {
    if (!Fits(&entry->inputs[i], arrays[i])) return NULL;
  }
  return entry;
}

/* run(is_backward, activation, inputs, upstream, options, out): the array, or
 * the arrays by name; None if there was no such call; or of one that failed
 * what Send() returns. */
static PyObject* Run(PyObject* self, PyObject* const* args,
                     Py_ssize_t num_args) {
  Calls* const calls = (Calls*)self;
  if (num_args != 6 || !PyTuple_Check(args[2])) {
    PyErr_SetString(PyExc_TypeError, "run() takes 6 arguments");
    return NULL;
  }
  PyArrayObject* inputs[kMaxTensors];
  Entry* const entry =
      Find(calls, args[0], args[1], args[2], args[3], args[4], inputs);
  if (entry == NULL) Py_RETURN_NONE;
  PyObject* outputs[kMaxTensors];
  const int made = MakeOutputs(entry, args[5], outputs);
  if (made < 0) return NULL;
  if (made == 0) Py_RETURN_NONE;
  Addresses addresses;
  for (int i = 0; i < entry->num_inputs; ++i) {
    addresses.inputs[i] = PyArray_DATA(inputs[i]);
  }
  for (int i = 0; i < entry->num_outputs; ++i) {
    addresses.outputs[i] = PyArray_DATA((PyArrayObject*)outputs[i]);
  }
  ++entry->num_references;
  int failed = 0;
  PyObject* result = Send(calls, entry, &addresses, &failed);
  if (!failed) result = Result(entry, outputs);
  for (int i = 0; i < entry->num_outputs; ++i) Py_DECREF(outputs[i]);
  Release(entry);
  return result;
}

/* prepared(is_backward, activation, inputs, upstream, options): such calls, by
 * addresses; None if there was none. */
static PyObject* GetPrepared(PyObject* self, PyObject* const* args,
                             Py_ssize_t num_args) {
  Calls* const calls = (Calls*)self;
  if (num_args != 5 || !PyTuple_Check(args[2])) {
    PyErr_SetString(PyExc_TypeError, "prepared() takes 5 arguments");
    return NULL;
  }
  PyArrayObject* inputs[kMaxTensors];
  Entry* const entry =
      Find(calls, args[0], args[1], args[2], args[3], args[4], inputs);
  if (entry == NULL) Py_RETURN_NONE;
  allocfunc const allocate =
      (allocfunc)PyType_GetSlot(prepared_type, Py_tp_alloc);
  Prepared* const prepared = (Prepared*)allocate(prepared_type, 0);
  if (prepared == NULL) return NULL;
  prepared->calls = (Calls*)Py_NewRef(self);
  prepared->entry = entry;
  ++entry->num_references;
  return (PyObject*)prepared;
}

/* run(address, ...) of the inputs, dL/dy and the outputs, which are contiguous
 * and as large as those of the call that it was prepared by. None; False if
 * this process is a child, or an array has no memory; or of a call that failed
 * what Send() returns. */
static PyObject* RunPrepared(PyObject* self, PyObject* const* args,
                             Py_ssize_t num_args) {
  Calls* const calls = ((Prepared*)self)->calls;
  const Entry* const entry = ((Prepared*)self)->entry;
  Addresses addresses;
  if (num_args != entry->num_inputs + entry->num_outputs) {
    PyErr_Format(PyExc_TypeError, "run() takes %d addresses",
                 entry->num_inputs + entry->num_outputs);
    return NULL;
  }
  for (int i = 0; i < num_args; ++i) {
    void* const address = PyLong_AsVoidPtr(args[i]);
    if (address == NULL) {
      if (PyErr_Occurred()) return NULL;
      Py_RETURN_FALSE;
    }
    if (i < entry->num_inputs) {
      addresses.inputs[i] = address;
    } else {
      addresses.outputs[i - entry->num_inputs] = address;
    }
  }
  if (calls->forks != num_forks) Py_RETURN_FALSE;
  int failed = 0;
  /* The caller keeps this object, which keeps the entry. */
  PyObject* const failure = Send(calls, entry, &addresses, &failed);
  if (failed) return failure;
  Py_RETURN_NONE;
}

static void FreePrepared(PyObject* self) {
  Release(((Prepared*)self)->entry);
  Py_XDECREF(((Prepared*)self)->calls);
  PyTypeObject* const type = Py_TYPE(self);
  freefunc const release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}

static PyMethodDef prepared_methods[] = {
    {"run", (PyCFunction)(void (*)(void))RunPrepared, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};
static PyType_Slot prepared_slots[] = {{Py_tp_dealloc, FreePrepared},
                                       {Py_tp_methods, prepared_methods},
                                       {0, NULL}};
static PyType_Spec prepared_spec = {
    "actserve._fast.Prepared", sizeof(Prepared), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, prepared_slots};

/* Calls(address of actserve_call, address of the client, what keeps it). */
static PyObject* NewCalls(PyTypeObject* type, PyObject* args,
                          PyObject* Py_UNUSED(keywords)) {
  Py_ssize_t call = 0;
  Py_ssize_t client = 0;
  PyObject* owner = NULL;
  if (!PyArg_ParseTuple(args, "nnO", &call, &client, &owner)) return NULL;
  allocfunc const allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  Calls* const calls = (Calls*)allocate(type, 0);
  if (calls == NULL) return NULL;
  calls->call = (CallFunction)call;
  calls->client = (actserve_client*)client;
  calls->owner = Py_NewRef(owner);
  calls->forks = num_forks;
  return (PyObject*)calls;
}

static void FreeCalls(PyObject* self) {
  for (int i = 0; i < kNumSlots; ++i) Release(((Calls*)self)->slots[i]);
  Py_XDECREF(((Calls*)self)->owner);
  PyTypeObject* const type = Py_TYPE(self);
  freefunc const release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"remember", (PyCFunction)(void (*)(void))Remember, METH_FASTCALL, NULL},
    {"run", (PyCFunction)(void (*)(void))Run, METH_FASTCALL, NULL},
    {"prepared", (PyCFunction)(void (*)(void))GetPrepared, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};
static PyType_Slot slots[] = {{Py_tp_new, NewCalls},
                              {Py_tp_dealloc, FreeCalls},
                              {Py_tp_methods, methods},
                              {0, NULL}};
static PyType_Spec spec = {"actserve._fast.Calls", sizeof(Calls), 0,
                           Py_TPFLAGS_DEFAULT, slots};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                        "_actserve_fast",
                                        NULL,
                                        -1,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL};

PyMODINIT_FUNC PyInit__actserve_fast(void) {
  import_array();
  PyObject* const module = PyModule_Create(&definition);
  if (module == NULL) return NULL;
  PyObject* const type = PyType_FromSpec(&spec);
  prepared_type = (PyTypeObject*)PyType_FromSpec(&prepared_spec);
  if (prepared_type == NULL || type == NULL ||
      PyModule_AddObject(module, "Calls", type) != 0 ||
      pthread_atfork(NULL, NULL, CountFork) != 0) {
    Py_DECREF(module);
    return NULL;
  }
  return module;
}
