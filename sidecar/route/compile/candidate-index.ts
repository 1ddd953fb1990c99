// The index over a table's candidates: a request looks at those that share its path, a part of it, or its gRPC service
// or method, not at all of them.
import type { Bucket, Candidate, CompiledTable, GrpcTable, HttpTable } from '../records.ts';

/** A bucket of more candidates than this is split by a header. A scan of so few is as fast as the look-ups. */
const SPLIT_ABOVE = 8;

type IndexOf<T extends CompiledTable> = Omit<T, 'kind' | 'rules' | 'candidates'>;

/** Sorts candidates (best first) into buckets by the most selective part of the path that they demand exactly. */
export function indexByMethod(candidates: readonly Candidate[]): IndexOf<GrpcTable> {
  const byPath = new Map<string, number[]>();
  const byService = new Map<string, number[]>();
  const byMethod = new Map<string, number[]>();
  const general: number[] = [];
  candidates.forEach(({ target }, i) => {
    const exactService = target.kind === 'grpc' ? (target.service?.octets ?? null) : null;
    const exactMethod = target.kind === 'grpc' ? (target.method?.octets ?? null) : null;
    if (exactService !== null && exactMethod !== null) listIn(byPath, `/${exactService}/${exactMethod}`).push(i);
    else if (exactService !== null) listIn(byService, exactService).push(i);
    else if (exactMethod !== null) listIn(byMethod, exactMethod).push(i);
    else general.push(i);
  });
  return {
    byPath: buckets(byPath, candidates),
    byService: buckets(byService, candidates),
    byMethod: buckets(byMethod, candidates),
    general: makeBucket(general, candidates),
  };
}

/** The same by an exact path or a prefix. */
export function indexByPath(candidates: readonly Candidate[]): IndexOf<HttpTable> {
  const byPath = new Map<string, number[]>();
  const byPrefix = new Map<string, number[]>();
  const general: number[] = [];
  candidates.forEach(({ target }, i) => {
    const path = target.kind === 'http' ? target.path : null;
    if (path === null || path.octets === null) general.push(i);
    else listIn(path.kind === 'exact' ? byPath : byPrefix, path.octets).push(i);
  });
  return {
    byPath: buckets(byPath, candidates),
    byPrefix: buckets(byPrefix, candidates),
    prefixLengths: [...new Set(Array.from(byPrefix.keys(), ({ length }) => length))],
    general: makeBucket(general, candidates),
  };
}

function buckets(lists: ReadonlyMap<string, readonly number[]>, candidates: readonly Candidate[]): Map<string, Bucket> {
  return new Map(Array.from(lists, ([key, list]) => [key, makeBucket(list, candidates)]));
}

function makeBucket(list: readonly number[], candidates: readonly Candidate[]): Bucket {
  if (list.length <= SPLIT_ABOVE) return { plain: list, byHeader: null };
  const popularity = new Map<string, number>();
  for (const i of list) {
    for (const { name, value } of candidates[i].headers) {
      if (value.octets !== null) popularity.set(`${name}:${value.octets}`, (popularity.get(`${name}:${value.octets}`) ?? 0) + 1);
    }
  }
  const plain: number[] = [];
  const byHeader = new Map<string, Map<string, number[]>>();
  for (const i of list) {
    // The rarest demand makes the shortest list: `x-tenant: 4711` rather than `x-env: prod`.
    let name = '';
    let octets: string | null = null;
    let rarest = Number.POSITIVE_INFINITY;
    for (const header of candidates[i].headers) {
      const times = header.value.octets === null ? Number.POSITIVE_INFINITY : popularity.get(`${header.name}:${header.value.octets}`)!;
      if (times >= rarest) continue;
      rarest = times;
      name = header.name;
      octets = header.value.octets;
    }
    if (octets === null) {
      plain.push(i);
      continue;
    }
    let values = byHeader.get(name);
    if (values === undefined) byHeader.set(name, (values = new Map()));
    listIn(values, octets).push(i);
  }
  return { plain, byHeader: byHeader.size === 0 ? null : byHeader };
}

function listIn(map: Map<string, number[]>, key: string): number[] {
  let list = map.get(key);
  if (list === undefined) map.set(key, (list = []));
  return list;
}
