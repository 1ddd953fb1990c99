// Outside programs that tests drive, built from Go modules.
import path from 'node:path';
import { type GoRecipe, goBuild } from './go-build.ts';

function tool(name: string, module: string, version: string, program: string): GoRecipe {
  return { name, version, require: { [module]: version }, programs: { [name]: program }, static: true };
}

const PROMETHEUS = 'github.com/prometheus/prometheus';

const TOOLS = {
  h2spec: tool('h2spec', 'github.com/summerwind/h2spec', 'v2.2.1+incompatible', 'github.com/summerwind/h2spec/cmd/h2spec'),
  'interop-client': tool('interop-client', 'google.golang.org/grpc', 'v1.85.0', 'google.golang.org/grpc/interop/client'),
  'interop-server': tool('interop-server', 'google.golang.org/grpc', 'v1.85.0', 'google.golang.org/grpc/interop/server'),
  // The newest version that resolves as a module; it takes OTLP and answers queries, without its web pages.
  jaeger: {
    ...tool('jaeger', 'github.com/jaegertracing/jaeger', 'v1.62.0', 'github.com/jaegertracing/jaeger/cmd/all-in-one'),
    linkFlags: '-s -w',
  },
  // Debian's Prometheus does not discover pods. Of all kinds of discovery ours has only that: the others are most of
  // the time a build takes.
  prometheus: {
    name: 'prometheus',
    version: '2.55.1',
    require: { [PROMETHEUS]: 'v0.55.1' },
    // Not taken over from a requirement's go.mod.
    substitute: {
      'k8s.io/klog': 'github.com/simonpasquier/klog-gokit v0.3.0',
      'k8s.io/klog/v2': 'github.com/simonpasquier/klog-gokit/v3 v3.5.0',
    },
    programs: { prometheus: '.' },
    borrowed: {
      'main.go': {
        module: PROMETHEUS,
        file: 'cmd/prometheus/main.go',
        from: `${PROMETHEUS}/plugins"`,
        to: `${PROMETHEUS}/discovery/kubernetes"`,
      },
    },
    linkFlags: '-s -w -X github.com/prometheus/common/version.Version=2.55.1',
    static: true,
  },
} satisfies Record<string, GoRecipe>;

export type GoToolName = keyof typeof TOOLS;

/**
 * The program's file, built if it is not in the cache.
 * @returns the path, or why it cannot be had (then the test is skipped with that message)
 */
export async function goTool(name: GoToolName): Promise<{ path: string } | { skip: string }> {
  try {
    return { path: path.join(await goBuild(TOOLS[name]), name) };
  } catch (error) {
    return { skip: (error as Error).message };
  }
}
