def spiky(x):
    """The lower half of a sawtooth: x mod 1 where that is at most 1/2, else 0.

    The function that this project began with. It jumps at every k + 1/2;
    the gradient is that of the branch taken.
    """
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0
