// What programs say of their own process, also when they are short of files.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';
import { processMetrics } from '#core/program/process-metrics.ts';

const PROGRAM = { program: 'sidecar', version: '1.2.3' } as const;

describe('process metrics', () => {
  it('are all there', () => {
    const samples = processMetrics(PROGRAM).map(({ name, samples: [{ value }] }): [string, number] => [name, value]);
    expect(samples.map(([name]) => name)).to.include.members([
      'process_resident_memory_bytes',
      'process_open_fds',
      'nodejs_heap_used_bytes',
    ]);
    for (const [name, value] of samples) expect(value, name).to.be.above(0);
  });

  it('end no program that can open no more files', () => {
    const script = `
      const fs = await import('node:fs');
      const { processMetrics } = await import(${JSON.stringify(path.resolve('core/program/process-metrics.ts'))});
      const files = [];
      try { for (;;) files.push(fs.openSync('/dev/null')); } catch {}
      const names = processMetrics(${JSON.stringify(PROGRAM)}).map(({ name }) => name);
      for (const file of files) fs.closeSync(file);
      console.log(names.join(' '));`;
    const command = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"';
    const names = execFileSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
    expect(names).to.include('weft_build_info').and.to.include('process_cpu_seconds_total');
  });
});
