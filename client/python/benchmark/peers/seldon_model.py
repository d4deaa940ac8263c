"""The model that MLServer runs; it is imported by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

from peers import silu


class Silu(MLModel):  # type: ignore[misc]
    """silu, and its gradient if there is a second input."""

    async def predict(self, payload: Any) -> Any:
        """Returns the response to a request."""
        arrays = [
            np.frombuffer(one.data.root[0], np.float32)
            for one in payload.inputs
        ]
        if len(arrays) == 1:
            results: tuple[Any, ...] = (silu.forward(*arrays),)
        else:
            results = silu.step(*arrays)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                ResponseOutput(
                    name=name,
                    shape=[1],
                    datatype="BYTES",
                    data=[array.tobytes()],
                )
                for name, array in zip(("y", "dx"), results, strict=False)
            ],
        )
