#!/usr/bin/env python3
"""Prints the polynomial coefficients of the float32 functions, in C hex.

usage: fit.py [NAME...]     (needs mpmath, numpy, scipy; all rows without a name)

Each row of ROWS is one polynomial, under the name that the headers quote. The
polynomial minimizes the largest weighted error on Chebyshev points of the
interval, by linear programming on what a least-squares fit leaves. Then its
coefficients are rounded to float32 (float64 where the row says so) from the
constant term up, each time fitting the others anew, so that the higher terms
make up for the rounding of the lower. The error printed is that of the rounded
polynomial, in units of 2^-24.
"""

import sys

import mpmath as mp
import numpy as np
from scipy.optimize import linprog

POINTS = 400


def round32(x):
    """The float32 nearest to `x`."""
    return float(np.float32(x))


def solve(xs, values, weights, scale, powers, fixed):
    """The best coefficients for the powers that are not in `fixed`."""
    free = [power for power in powers if power not in fixed]
    rest = [
        value - sum(mp.mpf(c) * x**power for power, c in fixed.items())
        for x, value in zip(xs, values)
    ]
    if not free:
        return {}, max(abs(w * r) for w, r in zip(weights, rest))
    matrix = mp.matrix(POINTS, len(free))
    right = mp.matrix(POINTS, 1)
    for i in range(POINTS):
        for j, power in enumerate(free):
            matrix[i, j] = weights[i] * (xs[i] / scale) ** power
        right[i] = weights[i] * rest[i]
    start = mp.lu_solve(matrix.T * matrix, matrix.T * right)
    left = right - matrix * start
    unit = max(abs(float(x)) for x in left) or 1e-30
    columns = np.array([[float(x) for x in row] for row in matrix.tolist()])
    q, r = np.linalg.qr(columns)
    target = np.array([float(x) / unit for x in left])
    # Minimise e with -e <= q c - target <= e.
    count = len(free)
    ones = np.ones((POINTS, 1))
    program = linprog(
        np.append(np.zeros(count), 1),
        A_ub=np.block([[q, -ones], [-q, -ones]]),
        b_ub=np.concatenate([target, -target]),
        bounds=[(None, None)] * count + [(0, None)],
        method="highs",
    )
    step = np.linalg.solve(r, program.x[:count])
    found = {
        power: (start[j] + mp.mpf(step[j]) * unit) / scale**power
        for j, power in enumerate(free)
    }
    return found, program.x[-1] * unit


def fit(function, weight, low, high, degree, fixed=None, rounding=round32):
    """Rounded coefficients by power, and their largest weighted error."""
    low, high = mp.mpf(low), mp.mpf(high)
    xs = [
        low + (high - low) * (1 - mp.cos(mp.pi * (2 * i + 1) / (2 * POINTS))) / 2
        for i in range(POINTS)
    ]
    values = [mp.mpf(function(x)) for x in xs]
    weights = [mp.mpf(weight(x)) for x in xs]
    scale = max(abs(low), abs(high))
    powers = list(range(degree + 1))
    fixed = dict(fixed or {})
    for power in powers:
        if power not in fixed:
            found, _ = solve(xs, values, weights, scale, powers, fixed)
            fixed[power] = rounding(found[power])
    _, error = solve(xs, values, weights, scale, powers, fixed)
    return fixed, error


def odd(function, lead, power=3):
    """(f(x) - lead x) / x^power and its weight for f, in z = x^2."""

    def rest(z):
        x = mp.sqrt(z)
        return (function(x) - lead * x) / x**power

    return rest, lambda z: mp.sqrt(z) ** power / function(mp.sqrt(z))


def tail(function, pole):
    """(a + pole) f(a) and its weight for f, in t = (a - pole) / (a + pole)."""

    def value(t):
        a = pole * (1 + t) / (1 - t)
        return (a + pole) * function(a)

    return value, lambda t: 1 / value(t)


def mills(a):
    """exp(a^2/2) (1 - Phi(a))."""
    return mp.exp(a * a / 2) * mp.erfc(a / mp.sqrt(2)) / 2


def erfcx(a):
    """exp(a^2) erfc(a)."""
    return mp.exp(a * a) * mp.erfc(a)


def tanhshrink(x):
    """x - tanh(x)."""
    return x - mp.tanh(x)


def even_or_half(function):
    """`function`, and 1/2 where it is 0/0."""
    return lambda r: function(r) if abs(r) > 1e-15 else mp.mpf(1) / 2


def log_rest(f):
    """(log(1+f) - f + f^2/2) / f^3."""
    if abs(f) < 1e-12:
        return mp.mpf(1) / 3
    return (mp.log1p(f) - f + f * f / 2) / f**3


def rows():
    """Name -> arguments of fit()."""
    ln2_2 = mp.log(2) / 2 * mp.mpf("1.0005")
    micro = mp.mpf(10) ** -6
    tiny = mp.mpf(10) ** -8
    third = mp.mpf(1) / 3
    eighth_turn = (mp.pi / 4 * mp.mpf("1.0001")) ** 2
    tan_pi_8 = (mp.tan(mp.pi / 8) * mp.mpf("1.0001")) ** 2
    mills_end = (mp.mpf("14.6") - 4) / (mp.mpf("14.6") + 4)
    erfcx_end = (mp.mpf("10.3") - 3) / (mp.mpf("10.3") + 3)
    sqrt = mp.sqrt
    return {
        "exp": (mp.exp, lambda x: 1 / mp.exp(x), -ln2_2, ln2_2, 6, {0: 1, 1: 1}),
        "exp2": (
            lambda x: 2**x,
            lambda x: 2**-x,
            mp.mpf("-0.5003"),
            mp.mpf("0.5003"),
            6,
            {0: 1},
        ),
        "expm1": (
            even_or_half(lambda r: (mp.expm1(r) - r) / r**2),
            lambda r: r * r / mp.expm1(r),
            -ln2_2,
            ln2_2,
            5,
        ),
        "log": (
            log_rest,
            lambda f: f**3 / mp.log1p(f),
            sqrt(mp.mpf(1) / 2) - 1 - micro,
            sqrt(2) - 1 + micro,
            7,
        ),
        "softplus": (
            lambda q: mp.log1p(q) / q,
            lambda q: q / mp.log1p(q),
            0,
            1,
            9,
            {0: 1},
        ),
        "tanh": (*odd(mp.tanh, 1), tiny, mp.mpf("0.9") ** 2, 6),
        "tanhshrink": (
            lambda z: (tanhshrink(sqrt(z)) / sqrt(z) ** 3 - third) / z,
            lambda z: z * z * sqrt(z) / tanhshrink(sqrt(z)),
            micro,
            1,
            6,
        ),
        "sin": (*odd(mp.sin, 1), tiny, eighth_turn, 3),
        "cos": (
            lambda z: (mp.cos(sqrt(z)) - 1 + z / 2) / z**2,
            lambda z: z * z / mp.cos(sqrt(z)),
            tiny,
            eighth_turn,
            2,
        ),
        "atan": (*odd(mp.atan, 1), tiny, tan_pi_8, 5, None, float),
        "asin": (*odd(mp.asin, 1), tiny, mp.mpf("0.2501"), 7, None, float),
        "erf small": (*odd(mp.erf, 1, 1), tiny, 1, 6),
        "erf large": (
            lambda t: mp.log(mp.erfc(t)),
            lambda t: mp.erfc(t) / mp.erf(t),
            1,
            mp.mpf("3.95"),
            6,
        ),
        "mills": (*tail(mills, 4), -1, mills_end, 9),
        "erfcx": (*tail(erfcx, 3), -1, erfcx_end, 9),
    }


def main(names):
    mp.mp.prec = 200
    table = rows()
    for name in names or table:
        coefficients, error = fit(*table[name])
        print(f"{name}: error {float(error * 2**24):.4f} * 2^-24")
        for power, c in sorted(coefficients.items()):
            print(f"  {power}: {float(c).hex()}")


if __name__ == "__main__":
    main(sys.argv[1:])
