def leaky_relu(x, negative_slope=0.01):
    """x above 0, negative_slope * x below (Maas et al. 2013).

    The gradient at 0 is the slope. The default is that of PyTorch and ONNX;
    tf.nn.leaky_relu has 0.2.
    """
    return x if x > 0 else negative_slope * x
