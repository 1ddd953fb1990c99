// The validator of a peer's certificate, where the data plane looks for it. It lives in core: the control plane judges its clients by the same rules.
export { type SvidExpectation, type SvidRefusal, type SvidVerdict, validateSvid } from '#core/contract/svid.ts';
