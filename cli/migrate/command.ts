// `weft migrate`: Ingresses and Istio's objects as Gateway API objects, with what could not be carried over.
import fs from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { Command } from 'commander';
import { Failure, UsageError } from '#core/program/failure.ts';
import { printable } from '#core/text/printable.ts';
import { readDocuments } from '#objects/yaml/documents.ts';
import type { Terminal } from '../print/terminal.ts';
import { writeDrafts } from './draft.ts';
import { migrate, reportOf } from './migrate.ts';

interface Options {
  readonly filename: readonly string[];
  readonly namespace: string;
  readonly gatewayClass: string;
}

const EXAMPLE = `
Examples:
  kubectl get ingress,service -A -o yaml | weft migrate -f - > gateway.yaml
  kubectl get gateways.networking.istio.io,virtualservice,destinationrule,service -A -o yaml | weft migrate -f - > routes.yaml

What the new objects do not do, or do in another way, stands above each as comments, and in the report on stderr.
Nothing in a cluster is read or changed.`;

/** The verb `migrate`. Its action throws Failure and UsageError. @param stdin what -f - reads */
export function migrateCommand(
  { stdout, stderr }: Pick<Terminal, 'stdout' | 'stderr'>,
  stdin: () => Promise<string> = () => readStream(process.stdin),
): Command {
  return new Command('migrate')
    .description(
      'Turn Ingresses, and VirtualServices, DestinationRules and Gateways of Istio, into Gateway API objects: YAML on stdout, a report on stderr.',
    )
    .option(
      '-f, --filename <file>',
      'manifests, - for stdin; may be repeated (required)',
      (file: string, before: string[]) => [...before, file],
      [],
    )
    .option('-n, --namespace <namespace>', 'of objects that name none', 'default')
    .option('--gateway-class <name>', 'class of the new Gateways', 'weft')
    .addHelpText('after', EXAMPLE)
    .action(async ({ filename, namespace, gatewayClass }: Options) => {
      if (filename.length === 0) throw new UsageError('migrate needs -f FILE, or -f - for stdin; see weft migrate --help');
      if (filename.filter((file) => file === '-').length > 1) throw new UsageError('stdin can be read once: one -f - only');
      const values: unknown[] = [];
      for (const file of filename) values.push(...valuesOf(file === '-' ? 'stdin' : file, await read(file, stdin)));
      const migration = migrate(values, namespace, gatewayClass);
      stderr.write(printableLines(reportOf(migration)));
      stdout.write(writeDrafts(migration.drafts));
    });
}

function valuesOf(source: string, text: string): unknown[] {
  return readDocuments(text).flatMap((document) => {
    if (document.state === 'broken') throw new Failure(`${source}:${document.place.line}:${document.place.column}: ${document.message}`);
    return document.state === 'good' ? [document.value] : [];
  });
}

function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

async function read(file: string, stdin: () => Promise<string>): Promise<string> {
  try {
    return file === '-' ? await stdin() : await fs.readFile(file, 'utf8');
  } catch (error) {
    throw new Failure(`-f ${file}: ${(error as Error).message}`);
  }
}
