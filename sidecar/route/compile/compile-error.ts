// The one error of compile(): a resource that this sidecar cannot use, refused as a whole (NACK) while the last good
// one stays.

/** Says what cannot be used and where: the message goes back to the control plane as the reason of the rejection. */
export class CompileError extends Error {
  override readonly name = 'CompileError';
}
