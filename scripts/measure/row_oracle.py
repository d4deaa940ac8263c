"""Functions that read rows, with extended precision, for accuracy_beside.

Each result is two arrays: the exact values, and their terms: the size that a
value would have if nothing cancelled in it or in what it is computed from.
"""

import numpy

Exact = tuple[numpy.ndarray, numpy.ndarray]
Arrays = dict[str, numpy.ndarray]

LAYER_NORM_EPS = 1e-5
RMS_NORM_EPS = 1e-6


def _softmax(a: Arrays) -> dict[str, Exact]:
    z = a["x"] - a["x"].max(-1, keepdims=True)
    e = numpy.exp(z)
    total = e.sum(-1, keepdims=True)
    y, log_total = e / total, numpy.log(total)
    # A rounded argument of an exponential is a relative error of its value.
    y_terms = y * (1 + abs(z))
    g, g_terms = a["g"], abs(a["g"])

    def inner(of: numpy.ndarray) -> numpy.ndarray:
        return of.sum(-1, keepdims=True)

    return {
        "softmax f": (y, y_terms),
        "softmax dx": (
            y * (g - inner(g * y)),
            y_terms * (g_terms + inner(g_terms * y_terms)),
        ),
        # That of a logarithm is an absolute error of its value.
        "log_softmax f": (z - log_total, abs(z) + log_total + 1),
        "log_softmax dx": (
            g - y * inner(g),
            g_terms + y_terms * inner(g_terms),
        ),
    }


def _norm(a: Arrays, name: str) -> dict[str, Exact]:
    x, g, weight = a["x"], a["g"], a["weight"]

    def mean(of: numpy.ndarray) -> numpy.ndarray:
        return of.mean(-1, keepdims=True)

    is_layer = name == "layer_norm"
    center = x - mean(x) if is_layer else x
    terms = abs(x) + mean(abs(x)) if is_layer else abs(x)
    eps = LAYER_NORM_EPS if is_layer else RMS_NORM_EPS
    scale = 1 / numpy.sqrt(mean(center**2) + eps)
    unit, terms = center * scale, terms * scale
    gw, gw_terms = g * weight, abs(g * weight)
    dx = gw - unit * mean(gw * unit)
    dx_terms = gw_terms + terms * mean(gw_terms * terms)
    if is_layer:
        dx, dx_terms = dx - mean(gw), dx_terms + mean(gw_terms)
    bias = a["bias"] if is_layer else numpy.zeros_like(weight)
    results = {
        f"{name} f": (
            unit * weight + bias,
            terms * abs(weight) + abs(bias),
        ),
        f"{name} dx": (dx * scale, dx_terms * scale),
        f"{name} dweight": ((g * unit).sum(0), (abs(g) * terms).sum(0)),
    }
    if is_layer:
        results[f"{name} dbias"] = (g.sum(0), abs(g).sum(0))
    return results


def _glu(a: Arrays) -> dict[str, Exact]:
    x, g = a["x"], a["g"]
    open_part = 1 / (1 + numpy.exp(-a["gate"]))
    closed_part = 1 / (1 + numpy.exp(a["gate"]))
    results = {
        "glu f": x * open_part,
        "glu dx": g * open_part,
        "glu dgate": g * x * open_part * closed_part,
    }
    return {name: (value, abs(value)) for name, value in results.items()}


def results(arrays: Arrays) -> dict[str, Exact]:
    """Of x, gate, g and the weight and bias of a row: results by name."""
    a = {name: of.astype(numpy.longdouble) for name, of in arrays.items()}
    return {
        **_softmax(a),
        **_norm(a, "layer_norm"),
        **_norm(a, "rms_norm"),
        **_glu(a),
    }
