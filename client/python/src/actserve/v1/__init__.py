"""The contract, generated from proto/actserve/v1 when the package is built.

`service_pb2_grpc.ActivationServiceStub` is a complete client for whoever wants
the bare messages; `actserve.connect` adds arrays, retries and registration.
"""
