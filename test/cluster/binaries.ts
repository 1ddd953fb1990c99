// The programs of a test cluster, each by name and version: built from Go modules, cached outside the work tree.
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type GoRecipe, go, goBuild } from '../support/go-build.ts';

const KUBERNETES = '1.34.4';
const GATEWAY_API = 'v1.6.3';
const CERT_MANAGER = 'v1.18.2';
const STRIPPED = '-s -w';
const VERSION_PACKAGE = 'k8s.io/component-base/version';

const KUBERNETES_PROGRAMS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubelet', 'kubectl'] as const;

const COREDNS_MAIN = `package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func init() { dnsserver.Directives = []string{"errors", "health", "ready", "cache", "kubernetes"} }
func main() { coremain.Run() }
`;

const CONFORMANCE_TEST = `package build

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) { conformance.RunConformance(t) }
`;

/**
 * cert-manager's controllers for Certificates and for issuers that sign by themselves or with a Secret. Its own program
 * is in a module that the proxy does not have.
 */
const CERT_MANAGER_MAIN = `package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/metrics"
	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         os.Args[1],
		KubernetesAPIQPS:   50,
		KubernetesAPIBurst: 100,
		Clock:              clock.RealClock{},
		Metrics:            metrics.New(logr.Discard(), clock.RealClock{}),
	})
	if err != nil {
		panic(err)
	}
	for name, construct := range controller.Known() {
		made, err := construct(factory)
		if err != nil {
			panic(name + ": " + err.Error())
		}
		go made.Run(1, ctx)
	}
	shared, err := factory.Build()
	if err != nil {
		panic(err)
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	<-ctx.Done()
}
`;

/** First process of a pod: reaps orphans, and ends by SIGTERM. */
const PAUSE_MAIN = `package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}
`;

const RECIPES = {
  kubernetes: {
    name: 'kubernetes',
    version: KUBERNETES,
    require: { 'k8s.io/kubernetes': `v${KUBERNETES}` },
    siblings: { of: 'k8s.io/kubernetes', version: `v0.${KUBERNETES.slice(2)}` },
    programs: Object.fromEntries(KUBERNETES_PROGRAMS.map((name) => [name, `k8s.io/kubernetes/cmd/${name}`])),
    linkFlags: `${STRIPPED} -X ${VERSION_PACKAGE}.gitVersion=v${KUBERNETES} -X ${VERSION_PACKAGE}.gitMajor=1 -X ${VERSION_PACKAGE}.gitMinor=${KUBERNETES.split('.')[1]}`,
  },
  etcd: {
    name: 'etcd',
    version: '3.6.16',
    require: { 'go.etcd.io/etcd/server/v3': 'v3.6.16' },
    programs: { etcd: 'go.etcd.io/etcd/server/v3' },
    linkFlags: STRIPPED,
  },
  coredns: {
    name: 'coredns',
    version: '1.15.0',
    require: { 'github.com/coredns/coredns': 'v1.15.0' },
    programs: { coredns: '.' },
    sources: { 'main.go': COREDNS_MAIN },
    linkFlags: STRIPPED,
    static: true,
  },
  echo: {
    // The suite's own application; the version is the one its image echo-advanced v1.5.1 stands for.
    name: 'echo',
    version: '1.5.1',
    require: { 'istio.io/istio': 'v0.0.0-20260827124520-eed52ebb66ad' },
    replace: { 'istio.io/api': 'v1.31.1', 'istio.io/client-go': 'v1.31.1', 'github.com/envoyproxy/go-control-plane/envoy': 'v1.38.0' },
    programs: { 'echo-server': 'istio.io/istio/pkg/test/echo/cmd/server', 'echo-client': 'istio.io/istio/pkg/test/echo/cmd/client' },
    linkFlags: STRIPPED,
    static: true,
  },
  conformance: {
    name: 'conformance',
    version: GATEWAY_API.slice(1),
    require: { 'sigs.k8s.io/gateway-api/conformance': GATEWAY_API },
    replace: { 'sigs.k8s.io/gateway-api': GATEWAY_API },
    programs: { 'conformance.test': '.' },
    sources: { 'conformance_test.go': CONFORMANCE_TEST },
    test: true,
  },
  ghz: {
    name: 'ghz',
    version: '0.93.0',
    require: { 'github.com/bojand/ghz': 'v0.93.0' },
    programs: { ghz: 'github.com/bojand/ghz/cmd/ghz' },
    linkFlags: STRIPPED,
    static: true,
  },
  helm: {
    name: 'helm',
    version: '3.22.0',
    require: { 'helm.sh/helm/v3': 'v3.22.0' },
    programs: { helm: 'helm.sh/helm/v3/cmd/helm' },
    linkFlags: STRIPPED,
    static: true,
  },
  'cert-manager': {
    name: 'cert-manager',
    version: CERT_MANAGER.slice(1),
    require: { 'github.com/cert-manager/cert-manager': CERT_MANAGER },
    programs: { 'cert-manager': '.' },
    sources: { 'main.go': CERT_MANAGER_MAIN },
    linkFlags: STRIPPED,
    static: true,
  },
  pause: {
    name: 'pause',
    version: '1',
    require: {},
    programs: { pause: '.' },
    sources: { 'main.go': PAUSE_MAIN },
    linkFlags: STRIPPED,
    static: true,
  },
} satisfies Record<string, GoRecipe>;

type RecipeName = keyof typeof RECIPES;

/** Program → the recipe that makes it. */
const MADE_BY = {
  ...(Object.fromEntries(KUBERNETES_PROGRAMS.map((name) => [name, 'kubernetes'])) as Record<
    (typeof KUBERNETES_PROGRAMS)[number],
    'kubernetes'
  >),
  etcd: 'etcd',
  coredns: 'coredns',
  'echo-server': 'echo',
  'echo-client': 'echo',
  'conformance.test': 'conformance',
  ghz: 'ghz',
  helm: 'helm',
  'cert-manager': 'cert-manager',
  pause: 'pause',
} as const satisfies Record<string, RecipeName>;

export type BinaryName = keyof typeof MADE_BY;
export const BINARIES = Object.keys(MADE_BY) as BinaryName[];

/** What a cluster needs to be up with its images loaded; the others are built when a test asks for them. */
export const CLUSTER_BINARIES: readonly BinaryName[] = [...KUBERNETES_PROGRAMS, 'etcd', 'pause', 'coredns', 'echo-server', 'echo-client'];

export const VERSIONS = { kubernetes: KUBERNETES, gatewayApi: GATEWAY_API.slice(1) } as const;

/**
 * The path of a program, built if it is not in the cache (Kubernetes: minutes, the others: at most two).
 * @param say receives a line about what takes long. @throws Error that names the program and why it cannot be had
 */
export async function binary(name: BinaryName, say?: (line: string) => void): Promise<string> {
  return path.join(await goBuild(RECIPES[MADE_BY[name]], say), name);
}

/** The paths of several programs, built one after the other: Go uses all cores for one. @throws Error as `binary` */
export async function binaries<N extends BinaryName>(names: readonly N[], say?: (line: string) => void): Promise<Record<N, string>> {
  const paths = {} as Record<N, string>;
  for (const name of names) paths[name] = await binary(name, say);
  return paths;
}

/**
 * The Gateway API's CustomResourceDefinitions of the version that the suite tests, as YAML documents.
 * @throws Error when the module cannot be had
 */
export async function crds(channel: 'standard' | 'experimental'): Promise<string> {
  return (await manifestsIn(`sigs.k8s.io/gateway-api@${GATEWAY_API}`, 'config', 'crd', channel)).join('\n---\n');
}

/** cert-manager's, of the version of its program. They are templates of its chart, for their labels alone. */
export async function certManagerCrds(): Promise<string> {
  const texts = await manifestsIn(`github.com/cert-manager/cert-manager@${CERT_MANAGER}`, 'deploy', 'crds');
  return texts.join('\n---\n').replace(/^.*\{\{.*$/gm, '');
}

async function manifestsIn(module: string, ...folder: string[]): Promise<string[]> {
  const download = JSON.parse(await go(['mod', 'download', '-json', module], os.tmpdir())) as { Dir: string };
  const directory = path.join(download.Dir, ...folder);
  const files = readdirSync(directory).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml');
  return files.map((name) => readFileSync(path.join(directory, name), 'utf8'));
}
