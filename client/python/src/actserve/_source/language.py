"""The names that the activation language knows of Python's packages."""

import math

# Names that the language knows without an import line: name -> package. `np`
# for jax.numpy would change the meaning of the text, so it gets an import line.
KNOWN_ALIASES = {
    "math": {"math"},
    "np": {"numpy"},
    "numpy": {"numpy"},
    "cp": {"cupy"},
    "tf": {"tensorflow"},
    "tensorflow": {"tensorflow"},
    "K": {"keras", "tensorflow"},
    "keras": {"keras", "tensorflow"},
    "torch": {"torch"},
    "F": {"torch"},
    "jax": {"jax"},
    "jnp": {"jax"},
}

# Modules whose functions the language knows: the tables, then the aliases, of
# kernels/lang/desugar/synonyms.cc, which a test compares.
KNOWN_MODULES = (
    "math",
    "random",
    "numpy",
    "scipy.special",
    "tensorflow",
    "tensorflow.math",
    "tensorflow.nn",
    "keras.backend",
    "keras.activations",
    "keras.ops",
    "torch",
    "torch.nn.functional",
    "torch.special",
    "jax.numpy",
    "jax.nn",
    "jax.lax",
    "jax.scipy.special",
    "cupy",
    "numpy.random",
    "cupy.random",
    "tensorflow.random",
    "keras.random",
    "jax.random",
    "cupyx.scipy.special",
    "tensorflow.compat.v1",
    "tensorflow.compat.v2",
    "tensorflow.keras.backend",
    "tensorflow.keras.activations",
    "tensorflow.keras.ops",
)
PACKAGES = {module.partition(".")[0] for module in KNOWN_MODULES}

# The named numbers of kernels/lang/vocabulary.cc, likewise.
LANGUAGE_NUMBERS = {
    "e": math.e,
    "inf": math.inf,
    "nan": math.nan,
    "pi": math.pi,
    "tau": math.tau,
}
