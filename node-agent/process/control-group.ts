// Which pod a process belongs to, by the text of /proc/<pid>/cgroup (cgroups(7)). Pure.

/**
 * The directory that the kubelet makes for a pod: `pod<uid>` with the cgroupfs driver, `kubepods-burstable-pod<uid>.slice`
 * with systemd's, whose names have an underscore for each hyphen (pkg/kubelet/cm/pod_container_manager_linux.go).
 */
const POD = /^(?:[A-Za-z0-9_-]*-)?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})(?:\.slice)?$/;

/**
 * The uid of the pod that a process runs in; undefined: it is of no pod. The first directory of a path that names a pod
 * decides, because a process may make groups of any name below its own; and all hierarchies of cgroup v1 must agree.
 * Paths that begin with `/..` are what a reader in a control group namespace of its own sees (cgroup_namespaces(7)).
 */
export function podOfGroups(cgroup: string): string | undefined {
  let found: string | undefined;
  for (const line of cgroup.split('\n')) {
    // hierarchy:controllers:path. A path may have colons.
    const path = /^\d+:[^:]*:(.*)$/.exec(line)?.[1];
    if (path === undefined) continue;
    const uid = path
      .split('/')
      .map((directory) => POD.exec(directory)?.[1])
      .find((name) => name !== undefined)
      ?.replaceAll('_', '-');
    if (uid === undefined) continue;
    if (found !== undefined && found !== uid) return undefined;
    found = uid;
  }
  return found;
}
