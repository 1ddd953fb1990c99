// What the cluster's programs are started with: arguments and configuration files as text. Each odd flag says what
// breaks without it.
import { DNS_SERVICE_ADDRESS, NODE_POD_RANGE, POD_RANGE, SERVICE_RANGE } from './network.ts';

export const NODE_NAME = 'node1';
export const PAUSE_IMAGE = 'localhost/pause:1';

export interface Places {
  /** The cluster's directory: everything below is relative to it. */
  readonly directory: string;
  readonly nodeAddress: string;
  /** Name of the pod network: CNI keeps files by it in a place all clusters of the machine share. */
  readonly podNetwork: string;
  /** Name of the control group below which each pod gets its own; '': pods get none (cgroups.ts). */
  readonly podCgroups: string;
  readonly binaries: Readonly<
    Record<'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kube-proxy' | 'kubelet' | 'etcd', string>
  >;
}

/** In the order they are started. */
export const COMPONENTS = ['containerd', 'etcd', 'apiserver', 'controller-manager', 'scheduler', 'kubelet', 'proxy'] as const;
export type Component = (typeof COMPONENTS)[number];

export const containerdSocket = (directory: string) => `${directory}/run/containerd.sock`;

/** containerd's configuration. */
export function containerdConfig({ directory }: Pick<Places, 'directory'>): string {
  return `version = 2
root = "${directory}/containerd"
state = "${directory}/run/containerd"
[grpc]
  address = "${containerdSocket(directory)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE scores cannot be lowered.
  restrict_oom_score_adj = true
  sandbox_image = "${PAUSE_IMAGE}"
  # Pods' network namespaces in our directory, not among those of the whole machine.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${directory}/cni"
`;
}

/** The pod network: one bridge. */
export function cniConfig({ directory, podNetwork }: Pick<Places, 'directory' | 'podNetwork'>): string {
  const bridge = {
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: 'host-local', dataDir: `${directory}/ipam`, ranges: [[{ subnet: NODE_POD_RANGE }]], routes: [{ dst: '0.0.0.0/0' }] },
  };
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: podNetwork,
    plugins: [bridge, { type: 'portmap', capabilities: { portMappings: true } }],
  });
}

/** The kubelet's configuration. JSON is YAML. */
export function kubeletConfig({ directory, podCgroups }: Pick<Places, 'directory' | 'podCgroups'>): string {
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: `${directory}/pki/ca.crt` } },
    authorization: { mode: 'Webhook' },
    clusterDNS: [DNS_SERVICE_ADDRESS],
    clusterDomain: 'cluster.local',
    failSwapOn: false,
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: podCgroups !== '',
    ...(podCgroups !== '' && { cgroupRoot: `/${podCgroups}` }),
    enforceNodeAllocatable: [],
    featureGates: {
      // Tolerates sysctls and oom_score_adj that it may not set.
      KubeletInUserNamespace: true,
      // Otherwise a forced delete of a pod with requests crashes it (doPodResizeAction).
      InPlacePodVerticalScaling: false,
    },
    containerRuntimeEndpoint: `unix://${containerdSocket(directory)}`,
    tlsCertFile: `${directory}/pki/node.crt`,
    tlsPrivateKeyFile: `${directory}/pki/node.key`,
    podLogsDir: `${directory}/pod-logs`,
    volumePluginDir: `${directory}/volume-plugins`,
    localStorageCapacityIsolation: false,
    serializeImagePulls: false,
    imageGCHighThresholdPercent: 100,
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%' },
    maxPods: 200,
  });
}

/**
 * What a component is started with. Paths may be relative to the cluster's directory, which is its working directory.
 */
export function commandOf(component: Component, { directory, nodeAddress, binaries }: Places): string[] {
  switch (component) {
    case 'containerd':
      return ['containerd', '-c', 'containerd.toml'];
    case 'etcd':
      return [
        binaries.etcd,
        ...['--data-dir', 'etcd', '--unsafe-no-fsync', '--log-level', 'warn'],
        ...['--listen-client-urls', 'http://127.0.0.1:2379', '--advertise-client-urls', 'http://127.0.0.1:2379'],
        ...['--listen-peer-urls', 'http://127.0.0.1:2380'],
      ];
    case 'apiserver':
      return [
        binaries['kube-apiserver'],
        '--etcd-servers=http://127.0.0.1:2379',
        `--service-cluster-ip-range=${SERVICE_RANGE}`,
        `--advertise-address=${nodeAddress}`,
        '--secure-port=6443',
        '--tls-cert-file=pki/server.crt',
        '--tls-private-key-file=pki/server.key',
        '--client-ca-file=pki/ca.crt',
        '--authorization-mode=Node,RBAC',
        '--allow-privileged',
        '--service-account-key-file=pki/sa.pub',
        '--service-account-signing-key-file=pki/sa.key',
        '--service-account-issuer=https://kubernetes.default.svc',
        '--kubelet-client-certificate=pki/admin.crt',
        '--kubelet-client-key=pki/admin.key',
        // The node's name does not resolve: exec would fail.
        '--kubelet-preferred-address-types=InternalIP',
        // It ends its watches at once when it goes away, and need not wait for them.
        '--shutdown-delay-duration=0s',
      ];
    case 'controller-manager':
      return [
        binaries['kube-controller-manager'],
        '--kubeconfig=admin.conf',
        '--leader-elect=false',
        '--use-service-account-credentials',
        '--service-account-private-key-file=pki/sa.key',
        '--root-ca-file=pki/ca.crt',
        '--cluster-signing-cert-file=pki/ca.crt',
        '--cluster-signing-key-file=pki/ca.key',
        '--allocate-node-cidrs',
        `--cluster-cidr=${POD_RANGE}`,
      ];
    case 'scheduler':
      return [binaries['kube-scheduler'], '--kubeconfig=admin.conf', '--leader-elect=false'];
    case 'kubelet':
      return [
        binaries.kubelet,
        '--config=kubelet.json',
        '--kubeconfig=node.conf',
        `--root-dir=${directory}/kubelet`,
        `--cert-dir=${directory}/kubelet-pki`,
        `--hostname-override=${NODE_NAME}`,
        `--node-ip=${nodeAddress}`,
      ];
    case 'proxy':
      return [
        binaries['kube-proxy'],
        '--kubeconfig=admin.conf',
        `--hostname-override=${NODE_NAME}`,
        `--cluster-cidr=${POD_RANGE}`,
        '--proxy-mode=iptables',
        // Sysctls that may be read-only: it ends when it cannot set them.
        '--conntrack-max-per-core=0',
        '--conntrack-tcp-timeout-established=0',
        '--conntrack-tcp-timeout-close-wait=0',
      ];
  }
}
