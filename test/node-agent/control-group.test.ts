// Which pod a process is of, by texts of /proc as kubelets and runtimes make them.
import { expect } from 'chai';
import { podOfGroups } from '#node-agent/process/control-group.ts';
import { processStatOf } from '#node-agent/process/process-stat.ts';

const UID = 'ad5374ff-036b-49cc-9dce-f14c3717653d';
const OTHER = '11111111-2222-3333-4444-555555555555';
const UNDERSCORED = UID.replaceAll('-', '_');
const ID = '204ff841c754396f23f8f4e3ab65bd3172a699fec079297ff49dfeed242cb326';

describe('the pod of a process', () => {
  const named: Record<string, string> = {
    'cgroupfs, burstable': `0::/kubepods/burstable/pod${UID}/${ID}\n`,
    'cgroupfs, guaranteed': `0::/kubepods/pod${UID}/${ID}\n`,
    'systemd and containerd': `0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope\n`,
    'systemd and CRI-O, guaranteed': `0::/kubepods.slice/kubepods-pod${UNDERSCORED}.slice/crio-${ID}.scope\n`,
    'kind, with slices of its own': `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope\n`,
    'a control group namespace, the same class': `0::/../../pod${UID}/${ID}\n`,
    'a control group namespace, another class': `0::/../../../kubepods-burstable.slice/kubepods-burstable-pod${UNDERSCORED}.slice/cri-containerd-${ID}.scope\n`,
    'version 1 below a root of its own': ['9:name=systemd', '4:memory', '1:cpu,cpuacct', '0:']
      .map((at) => `${at}:/weft-1/kubepods/besteffort/pod${UID}/${ID}`)
      .join('\n'),
    'version 1, where one hierarchy has no pods': `4:memory:/kubepods/pod${UID}/${ID}\n0::/\n`,
    'groups below its own, of any name': `0::/kubepods/pod${UID}/${ID}/pod${OTHER}/x\n`,
  };
  for (const [what, text] of Object.entries(named)) it(`is found: ${what}`, () => expect(podOfGroups(text)).to.equal(UID));

  const unnamed: Record<string, string> = {
    'a process of the node': '0::/system.slice/containerd.service\n',
    'our own pod': '0::/\n',
    'no groups per pod': `0::/k8s.io/${ID}\n`,
    'a static pod, whose uid is a hash': `0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/${ID}\n`,
    'a name that only begins so': `0::/kubepods/pod${UID}-x/${ID}\n`,
    'hierarchies that name two pods': `4:memory:/kubepods/pod${UID}/${ID}\n0::/kubepods/pod${OTHER}/${ID}\n`,
    'a process that has ended': '',
  };
  for (const [what, text] of Object.entries(unnamed)) it(`is none: ${what}`, () => expect(podOfGroups(text)).to.equal(undefined));
});

describe("a process's parent and start", () => {
  const rest = '9350 9351 9351 0 -1 4194560 28 0 0 0 0 0 0 0 20 0 1 0 203412 1032192 1 18446744073709551615';

  it('are read past a name with spaces and parentheses', () => {
    const wanted = { parent: 9350, startTime: 203412 };
    expect(processStatOf(`9351 (pause) S ${rest}\n`)).to.deep.equal(wanted);
    expect(processStatOf(`9351 (a) S 1 (b) c) S ${rest}\n`)).to.deep.equal(wanted);
  });

  it('are unknown of a process that has ended', () => {
    expect(processStatOf('')).to.equal(undefined);
  });
});
