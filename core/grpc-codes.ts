// The names of gRPC's status codes as Prometheus metrics and Go spell them ("DeadlineExceeded"), by number.

/** 0 to 16 (github.com/grpc/grpc/blob/master/doc/statuscodes.md). */
export const GRPC_CODES: readonly string[] = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];
