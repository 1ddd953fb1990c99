// `weft install`: the objects that make a mesh, as YAML for kubectl.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { toDocuments } from '#chart/render.ts';
import { ValuesError } from '#chart/values.ts';
import { Failure, UsageError } from '#core/program/failure.ts';
import { install } from '../installation/objects.ts';
import type { Terminal } from '../print/terminal.ts';

interface Options {
  readonly set: readonly string[];
  readonly values: readonly string[];
  readonly ha?: true;
}

const EXAMPLE = `
Examples:
  weft install | kubectl apply -f -
  weft install --ha --set image.repository=registry.example/weft | kubectl apply -f -
  weft install --set 'sidecar.opaquePorts={25,3306,4000-4010}' > weft.yaml

Without --ha after --ha, kubectl apply leaves the PodDisruptionBudgets behind; to delete them:
  kubectl delete poddisruptionbudgets -n weft-system -l app.kubernetes.io/part-of=weft

It is the Helm chart, rendered without Helm. Doing it again changes nothing. All values: docs/reference/values.md.`;

/** The verb `install`. Its action throws Failure and UsageError. */
export function installCommand({ stdout, stderr }: Terminal): Command {
  const list = (word: string, before: readonly string[]) => [...before, word];
  return new Command('install')
    .description('Print what installs Weft into a cluster, for kubectl apply -f -.')
    .option(
      '--ha',
      'for production: several replicas on different nodes, and pods that must be meshed are refused while no injector answers',
    )
    .option('-f, --values <file>', 'values as YAML; may be repeated, the last wins', list, [])
    .option('--set <key=value>', 'one value, like controlPlane.replicas=2; may be repeated', list, [])
    .addHelpText('after', EXAMPLE)
    .action(({ set, values, ha }: Options) => {
      const files = values.map((name) => ({ name, text: contentOf(name) }));
      const documents = toDocuments(checked(() => install({ ha: ha === true, files, set })));
      stdout.write(documents);
      if (stdout.isTTY) stderr.write('weft: nothing was installed; pipe this to kubectl: weft install … | kubectl apply -f -\n');
    });
}

function checked<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof ValuesError) throw new UsageError(error.message);
    throw error;
  }
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Failure(code === 'ENOENT' ? `there is no file ${file}` : `${file} cannot be read: ${message}`);
  }
}
