def hardmax(x):
    """1 at the largest element of the row and 0 elsewhere, as ONNX's Hardmax.

    Of equal largest elements the first has the 1. The gradient is 0. As for
    NumPy's argmax, NaN is the largest element, so a row with NaN has its 1
    there; a row of -inf alone has it at its first element.
    """
    return rowargmax(x)
