// How the authority stands, from what the replicas of the control plane say, and what may be done about it. Pure.
import type { AuthorityView } from '#core/contract/view.ts';
import type { ReplicaAnswer } from '../cluster/replicas.ts';

export interface AuthorityStanding {
  /** As the leader has it, else as any replica does; null: no replica says. */
  readonly authority: AuthorityView | null;
  /** The pod that leads; '': none of those that answer. */
  readonly leader: string;
  /** Replicas that have not heard of its newest step. */
  readonly behind: readonly string[];
  /** Replicas that do not answer, with the reason. */
  readonly unreachable: readonly string[];
}

export function standingOf(answers: readonly ReplicaAnswer[]): AuthorityStanding {
  const reports = answers.flatMap(({ pod, report }) => (report.ok ? [{ pod, ...report.value }] : []));
  const leader = reports.find((report) => report.leader && report.authority !== undefined);
  const { authority = null } = leader ?? reports.find((report) => report.authority !== undefined) ?? {};
  return {
    authority,
    leader: leader?.pod ?? '',
    behind: reports.flatMap((report) => (report.authority?.generation === authority?.generation ? [] : [report.pod])),
    unreachable: answers.flatMap(({ pod, report }) => (report.ok ? [] : [`${pod}: ${report.error}`])),
  };
}

/** Why a new authority is not made now; '': it can be. @param takeOver Weft makes it, whoever has made the one before */
export function whyNoRotation({ authority, leader }: AuthorityStanding, takeOver = false): string {
  if (authority === null) return 'no control plane says how the authority stands';
  if (leader === '') return NO_LEADER;
  if (authority.next !== null)
    return `a rotation is under way: ${authority.next.subject} (${authority.next.id}) is on its way to sign; weft ca status says what it waits for`;
  if (takeOver || authority.managedBy === 'Weft') return '';
  return authority.managedBy === ''
    ? 'Weft did not make this authority: put the next one into the Secret, and it is taken up without a restart, or give --take-over'
    : `this authority is renewed by ${authority.managedBy}: renew it there (cmctl renew), and it is taken up without a restart`;
}

/** Why old roots cannot be dropped now; '': they can. */
export function whyNoFinish({ authority, leader }: AuthorityStanding): string {
  if (authority === null) return 'no control plane says how the authority stands';
  if (leader === '') return NO_LEADER;
  if (authority.phase === 'distributing') return 'the new authority does not sign yet; weft ca status says what it waits for';
  if (authority.phase === 'steady') return 'there is no old root: nothing is to be finished';
  const [latest] = [...authority.retired].sort((a, b) => b.untilMs - a.untilMs);
  const until = latest === undefined ? '' : `; by itself it ends at ${new Date(latest.untilMs).toISOString()}`;
  return authority.leavesOfOld.length === 0 ? '' : `old roots are needed still, waiting for ${authority.leavesOfOld.join('; ')}${until}`;
}

const NO_LEADER = 'no control plane leads, and none would do it: a new leader comes within 15 s';
