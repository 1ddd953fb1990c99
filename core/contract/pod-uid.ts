// The pod that a certificate was issued to: its uid, as the subject's serialNumber (RFC 5280 §4.1.2.4). X.509-SVID §4
// leaves the subject to us, and peers do not read it; only the control plane does (decision 19).
import { DerReader, TAG } from './der.ts';
import { LARGEST_CERTIFICATE } from './svid.ts';

/** An upper bound of X.520 (ub-serial-number); a uid of Kubernetes has 36. */
export const LONGEST_POD_UID = 64;
const OID_SERIAL_NUMBER = '550405';
const SET = 0x31;

/** Whether a pod's uid can stand in a certificate: a PrintableString without anything that a name would escape. */
export function isPodUid(text: string): boolean {
  return text.length <= LONGEST_POD_UID && /^[A-Za-z0-9.-]+$/.test(text);
}

/**
 * The uid of the pod that this certificate was issued to; '': it names none. The chain must have been verified before.
 * Never throws.
 * @param der as the TLS library gives it
 */
export function podUidOf(der: Buffer | undefined): string {
  if (der === undefined || der.length > LARGEST_CERTIFICATE) return '';
  try {
    // Certificate and TBSCertificate, RFC 5280 §4.1.
    const tbs = new DerReader(der).enter(TAG.sequence).enter(TAG.sequence);
    tbs.skip(0xa0); // version
    tbs.next(TAG.integer);
    for (let i = 0; i < 3; i++) tbs.next(TAG.sequence); // signature algorithm, issuer, validity
    const subject = tbs.enter(TAG.sequence);
    while (!subject.done) {
      const attribute = subject.enter(SET).enter(TAG.sequence);
      if (attribute.oid() !== OID_SERIAL_NUMBER) continue;
      const uid = attribute.bytes(attribute.next()).toString('latin1');
      return isPodUid(uid) ? uid : '';
    }
  } catch {
    // Another's certificate, of a form that we do not read.
  }
  return '';
}
