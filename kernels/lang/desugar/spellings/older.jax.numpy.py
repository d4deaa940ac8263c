def clip(a, a_min=None, a_max=None, out=None): return clamp(a, a_min, a_max)
