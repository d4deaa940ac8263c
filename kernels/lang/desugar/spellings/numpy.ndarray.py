def round(self, decimals=0): return round(self)
def copy(self): return self
def astype(self, dtype): return float(self)
def clip(self, min=None, max=None, out=None): return clamp(self, min, max)
