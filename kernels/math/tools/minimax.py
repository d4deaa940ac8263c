#!/usr/bin/env python3
"""Prints the polynomial coefficients of the float64 functions, in C hex.

usage: minimax.py [NAME...]          (needs mpmath; all rows without a name)

Each row of ROWS is one polynomial: what it approximates, on which interval, of
which degree and under which weight. The polynomial is the Remez exchange's,
computed with 60 digits and rounded to float64; the largest weighted error of
the rounded polynomial is printed above the coefficients, constant term first.
The name two_over_pi prints the table that reduces angles.
"""

import sys

from mpmath import mp, mpf

mp.dps = 60


def remez(function, low, high, degree, weight):
    """The polynomial p that minimizes max |weight * (p - function)|."""
    count = degree + 2
    grid = [
        low + (high - low) * (1 - mp.cos(mp.pi * i / 3000)) / 2 for i in range(3001)
    ]
    values = [function(x) for x in grid]
    weights = [weight(x) for x in grid]
    # Extrema of the weighted error, as indices into the grid.
    nodes = [round(3000 * (i + 0.5) / count) for i in range(count)]
    for _ in range(30):
        matrix = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for row, node in enumerate(nodes):
            for power in range(degree + 1):
                matrix[row, power] = grid[node] ** power
            matrix[row, degree + 1] = (-1) ** row / weights[node]
            right[row] = values[node]
        solution = mp.lu_solve(matrix, right)
        coefficients = [solution[i] for i in range(degree + 1)]
        errors = [
            w * (mp.polyval(coefficients[::-1], x) - y)
            for x, y, w in zip(grid, values, weights)
        ]
        moved = alternating_extrema(errors, count)
        if moved == nodes:
            break
        nodes = moved
    return coefficients


def alternating_extrema(errors, count):
    """Indices of the `count` largest alternating extrema of `errors`."""
    best = []
    for i, error in enumerate(errors):
        if best and (error > 0) == (errors[best[-1]] > 0):
            if abs(error) > abs(errors[best[-1]]):
                best[-1] = i
        else:
            best.append(i)
    while len(best) > count:
        best.pop(0 if abs(errors[best[0]]) < abs(errors[best[-1]]) else -1)
    if len(best) < count:
        raise RuntimeError(f"{len(best)} extrema of {count}: degree too high")
    return best


def series(direct, taylor):
    """`direct`, but the Taylor coefficients `taylor` near 0."""

    def evaluate(x):
        if abs(x) < mpf("1e-6"):
            return mp.polyval([mpf(c) for c in taylor[::-1]], x)
        with mp.extradps(40):
            return +direct(x)

    return evaluate


def of_square(function):
    """A function of z = x*x from one of x."""
    return lambda z: function(mp.sqrt(z))


def scaled_erfcx(q):
    """(1+2a) erfc(a) exp(a*a) - 1 at a = 4 (1+q)/(1-q)."""
    a = 4 * (1 + q) / (1 - q)
    return (1 + 2 * a) * mp.exp(a * a) * mp.erfc(a) - 1


def odd_taylor(function, skip, terms=6):
    """Coefficients of (function(x)/x) in x*x, from the term `skip` on."""
    taylor = mp.taylor(function, 0, 2 * (skip + terms))
    return [taylor[2 * (skip + i) + 1] for i in range(terms)]


def one(x):
    """The weight of absolute errors."""
    return mpf(1)


HALF_LN2 = mpf("0.34665")
Z_LOG = (3 - 2 * mp.sqrt(2)) ** 2 * mpf("1.0001")
Z_QUARTER_PI = (mp.pi / 4) ** 2 * mpf("1.0001")
Z_EIGHTH_PI = mp.tan(mp.pi / 8) ** 2 * mpf("1.0001")

# name: (function, low, high, degree, weight)
ROWS = {
    # exp(r) = 1 + r + r*r*p(r)
    "exp": (
        series(
            lambda r: (mp.expm1(r) - r) / r**2,
            [1 / mp.factorial(i + 2) for i in range(8)],
        ),
        -HALF_LN2,
        HALF_LN2,
        10,
        lambda r: abs(r) + mpf("1e-9"),
    ),
    # 2 atanh(s) = 2s + s*z*p(z), z = s*s
    "log": (
        series(
            of_square(lambda s: (2 * mp.atanh(s) / s - 2) / s**2),
            [mpf(2) / (2 * i + 3) for i in range(8)],
        ),
        mpf(0),
        Z_LOG,
        7,
        one,
    ),
    # atanh(s) = s + s*z/3 + s*z*z*p(z)
    "log_dd": (
        series(
            of_square(lambda s: (mp.atanh(s) / s - 1 - s**2 / 3) / s**4),
            [mpf(1) / (2 * i + 5) for i in range(8)],
        ),
        mpf(0),
        Z_LOG,
        8,
        lambda z: z + mpf("1e-9"),
    ),
    # (1+2a) erfcx(a) = 1 + p(q), q = (a-4)/(a+4), 0 <= a <= 28
    "erfcx": (scaled_erfcx, mpf(-1), mpf("0.75"), 22, one),
    # erf(x) = x + x*p(z), z = x*x, x <= 0.85
    "erf": (
        series(
            of_square(lambda x: mp.erf(x) / x - 1),
            [c - (i == 0) for i, c in enumerate(odd_taylor(mp.erf, 0))],
        ),
        mpf(0),
        mpf("0.7225"),
        11,
        one,
    ),
    # sin(x) = x + x*z*p(z)
    "sin": (
        series(
            of_square(lambda x: (mp.sin(x) / x - 1) / x**2),
            odd_taylor(mp.sin, 1),
        ),
        mpf(0),
        Z_QUARTER_PI,
        6,
        lambda z: z + mpf("1e-9"),
    ),
    # cos(x) = 1 - z/2 + z*z*p(z)
    "cos": (
        series(
            of_square(lambda x: (mp.cos(x) - 1 + x**2 / 2) / x**4),
            [(-1) ** i / mp.factorial(2 * i + 4) for i in range(8)],
        ),
        mpf(0),
        Z_QUARTER_PI,
        6,
        lambda z: z**2 + mpf("1e-9"),
    ),
    # atan(x) = x + x*z*p(z)
    "atan": (
        series(
            of_square(lambda x: (mp.atan(x) / x - 1) / x**2),
            odd_taylor(mp.atan, 1),
        ),
        mpf(0),
        Z_EIGHTH_PI,
        10,
        lambda z: z + mpf("1e-9"),
    ),
    # asin(x) = x + x*z*p(z)
    "asin": (
        series(
            of_square(lambda x: (mp.asin(x) / x - 1) / x**2),
            odd_taylor(mp.asin, 1),
        ),
        mpf(0),
        mpf("0.25"),
        12,
        lambda z: z + mpf("1e-9"),
    ),
    # sinh(x) = x + x*z*p(z)
    "sinh": (
        series(
            of_square(lambda x: (mp.sinh(x) / x - 1) / x**2),
            odd_taylor(mp.sinh, 1),
        ),
        mpf(0),
        mpf(1),
        7,
        lambda z: z + mpf("1e-9"),
    ),
    # x - tanh(x) = x*z*p(z)
    "tanhshrink": (
        series(
            of_square(lambda x: (1 - mp.tanh(x) / x) / x**2),
            [-c for c in odd_taylor(mp.tanh, 1)],
        ),
        mpf(0),
        mpf("0.25"),
        11,
        one,
    ),
}


def print_two_over_pi():
    """Rows of 2^(32 j) 2/pi modulo 4, each the sum of four doubles."""
    print("// two_over_pi")
    with mp.workprec(1400):
        for j in range(31):
            rest = 2 / mp.pi * mpf(2) ** (32 * j)
            rest -= 4 * mp.floor(rest / 4)
            words = []
            for _ in range(4):
                words.append(float(rest))
                rest -= mpf(words[-1])
            print(f"    {{{', '.join(word.hex() for word in words)}}},")


def main():
    for name in sys.argv[1:] or [*ROWS, "two_over_pi"]:
        if name == "two_over_pi":
            print_two_over_pi()
            continue
        function, low, high, degree, weight = ROWS[name]
        exact = remez(function, low, high, degree, weight)
        rounded = [float(c) for c in exact]
        error = max(
            abs(
                weight(x)
                * (mp.polyval([mpf(c) for c in rounded[::-1]], x) - function(x))
            )
            for x in mp.linspace(low, high, 999)
        )
        print(f"// {name}: weighted error 2^{float(mp.log(error, 2)):.2f}")
        for coefficient in rounded:
            print(f"    {coefficient.hex()},")


if __name__ == "__main__":
    main()
