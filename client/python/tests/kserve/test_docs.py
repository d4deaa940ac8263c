"""docs/kserve.md is true."""

import re

import numpy as np
from testbed import ROOT

PAGE = (ROOT / "docs/kserve.md").read_text()


def test_the_example_runs(kserve_server, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert "127.0.0.1:50051" in code
    names = {}

    exec(code.replace("127.0.0.1:50051", kserve_server.address), names)

    names["client"].close()
    slopes = np.where(names["x"] > 0, 1, 0.1).astype(np.float32)
    slopes[names["x"] == 0] = names["gradients"].as_numpy("dx")[0, 2]
    np.testing.assert_array_equal(names["gradients"].as_numpy("dx"), slopes)
    assert str(names["y"]) in capsys.readouterr().out
