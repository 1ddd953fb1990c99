// The logger: one line per event whatever the fields hold.
import { expect } from 'chai';
import fc from 'fast-check';
import { isLogLevel, type LogLevel } from '#core/contract/log-levels.ts';
import { createLogger, type LogFormat } from '#core/program/log.ts';

function collect(format: LogFormat, level: LogLevel = 'debug') {
  const lines: string[] = [];
  const log = createLogger({ level, format, component: 'test', write: (line) => lines.push(line), now: () => 1_700_000_000_000 });
  return { log, lines };
}

describe('core/program: log', () => {
  it('writes JSON with time, level, message, component and fields', () => {
    const { log, lines } = collect('json');
    log.info('started', { port: 15012 });
    expect(JSON.parse(lines[0]!)).to.deep.equal({
      time: '2023-11-14T22:13:20.000Z',
      level: 'info',
      msg: 'started',
      component: 'test',
      port: 15012,
    });
  });

  it('keeps its own keys when a field has the same name', () => {
    const { log, lines } = collect('json');
    log.warn('a', { msg: 'b', level: 'c' });
    expect(JSON.parse(lines[0]!)).to.include({ msg: 'a', level: 'warn', field_msg: 'b', field_level: 'c' });
  });

  it('leaves out what is below the level', () => {
    const { log, lines } = collect('text', 'warn');
    log.debug('no');
    log.info('no');
    log.warn('yes');
    expect(lines).to.have.length(1);
    expect(log.enabled('info')).to.equal(false);
    expect(log.enabled('error')).to.equal(true);
  });

  it('marks the lines of a child', () => {
    const { log, lines } = collect('text');
    log.child('publish', { pod: 'shop/a' }).error('gone away', { error: new Error('reset by peer') });
    expect(lines[0]).to.equal('2023-11-14T22:13:20.000Z error publish: gone away pod=shop/a error="reset by peer"');
  });

  it('survives fields that cannot be written', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    for (const format of ['json', 'text'] as const) {
      const { log, lines } = collect(format);
      log.info('x', { loop, big: 12n, fn: () => 1, none: undefined });
      expect(lines[0]).to.include('(not printable)');
    }
  });

  it('stays one line for any text', () => {
    for (const format of ['json', 'text'] as const)
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (msg, value) => {
          const { log, lines } = collect(format);
          log.info(msg, { value });
          expect(lines).to.have.length(1);
          expect(lines[0]).to.not.match(/[\u0000-\u001f]/);
        }),
      );
  });

  it('knows its levels', () => {
    expect(isLogLevel('warn')).to.equal(true);
    expect(isLogLevel('toString')).to.equal(false);
  });
});
