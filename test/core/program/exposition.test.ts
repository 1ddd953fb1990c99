// The metrics page in its two formats, read back by a parser written from their descriptions.
import { expect } from 'chai';
import fc from 'fast-check';
import { boundText, CONTENT_TYPES, counter, counters, Exposition, formatFor, gauge, labelText } from '#core/program/exposition.ts';
import { parseExposition } from '../../support/exposition.ts';

const EXEMPLAR = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', value: 0.02, atMs: 1_700_000_000_123 };

function page(format: 'text' | 'openmetrics'): string {
  const out = new Exposition(format);
  out.add([
    { name: 'weft_build_info', type: 'info', help: 'Which "program".', samples: [{ labels: { version: '1' }, value: 1 }] },
    counter('weft_retries_total', 'Back\\slash and\nnewline.', 3),
    counters('weft_errors_total', 'error', 'By reason.', new Map([['no_route', 2]])),
    gauge('weft_age_seconds', 'Not known.', Number.NaN),
  ]);
  out.family('weft_duration_seconds', 'histogram', 'Time.');
  out.sample('weft_duration_seconds_bucket', 'le="0.025"', 1, EXEMPLAR);
  out.sample('weft_duration_seconds_bucket', 'le="+Inf"', 1);
  out.sample('weft_duration_seconds_sum', '', 0.02);
  out.sample('weft_duration_seconds_count', '', 1);
  return out.toString();
}

describe('metrics exposition', () => {
  it('is Prometheus text 0.0.4', () => {
    expect(page('text')).to.equal(
      [
        '# HELP weft_build_info Which "program".',
        '# TYPE weft_build_info gauge',
        'weft_build_info{version="1"} 1',
        '# HELP weft_retries_total Back\\\\slash and\\nnewline.',
        '# TYPE weft_retries_total counter',
        'weft_retries_total 3',
        '# HELP weft_errors_total By reason.',
        '# TYPE weft_errors_total counter',
        'weft_errors_total{error="no_route"} 2',
        '# HELP weft_age_seconds Not known.',
        '# TYPE weft_age_seconds gauge',
        'weft_age_seconds NaN',
        '# HELP weft_duration_seconds Time.',
        '# TYPE weft_duration_seconds histogram',
        'weft_duration_seconds_bucket{le="0.025"} 1',
        'weft_duration_seconds_bucket{le="+Inf"} 1',
        'weft_duration_seconds_sum 0.02',
        'weft_duration_seconds_count 1',
        '',
      ].join('\n'),
    );
    parseExposition(page('text'));
  });

  it('is OpenMetrics 1.0: families without _total and _info, exemplars, an end', () => {
    const text = page('openmetrics');
    expect(text).to.contain('# TYPE weft_build info\n# HELP weft_build Which \\"program\\".\nweft_build_info{version="1"} 1\n');
    expect(text).to.contain('# TYPE weft_retries counter\n# HELP weft_retries Back\\\\slash and\\nnewline.\nweft_retries_total 3\n');
    expect(text).to.contain(
      'weft_duration_seconds_bucket{le="0.025"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.02 1700000000.123\n',
    );
    expect(text).to.match(/\n# EOF\n$/);
    parseExposition(text, 'openmetrics');
  });

  it('leaves out an exemplar that is longer than the format allows', () => {
    const out = new Exposition('openmetrics');
    out.family('a_total', 'counter', 'A.');
    out.sample('a_total', '', 1, { ...EXEMPLAR, traceId: 'x'.repeat(121) });
    expect(out.toString()).to.contain('\na_total 1\n');
  });

  it('gives back label values whatever is in them, as far as it is Unicode', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\n', '"', '\\', '\\n', 'a"b\\c\nd', 'é\xff', '\ud800', '{},='),
    );
    fc.assert(
      fc.property(anything, fc.constantFrom('text' as const, 'openmetrics' as const), (text, format) => {
        const out = new Exposition(format);
        out.family('a', 'gauge', text);
        out.sample('a', labelText({ first: text, second: '' }), 1);
        const { samples } = parseExposition(Buffer.from(out.toString()).toString('utf8'), format);
        expect(samples[0].labels).to.deep.equal({ first: text.toWellFormed(), second: '' });
      }),
    );
  });

  it('writes bounds as OpenMetrics wants them, in both formats', () => {
    expect([0.001, 0.25, 1, 5, 100, Number.POSITIVE_INFINITY].map(boundText)).to.deep.equal([
      '0.001',
      '0.25',
      '1.0',
      '5.0',
      '100.0',
      '+Inf',
    ]);
  });
});

describe('format of a metrics page', () => {
  // As Prometheus 2.42 and 3 ask.
  const OLD =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
  const NEW =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
  const cases: [string | undefined, 'text' | 'openmetrics'][] = [
    [undefined, 'text'],
    ['', 'text'],
    ['*/*', 'text'],
    ['application/*', 'text'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text'],
    [OLD, 'openmetrics'],
    [NEW, 'openmetrics'],
    ['text/plain;version=0.0.4', 'text'],
    ['application/openmetrics-text', 'openmetrics'],
    ['Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8', 'openmetrics'],
    ['application/openmetrics-text;version=0.0.1', 'text'],
    ['application/openmetrics-text;version=2.0.0', 'text'],
    ['application/openmetrics-text;q=0.3,text/plain;q=0.7', 'text'],
    ['application/openmetrics-text;q=0', 'text'],
    ['application/openmetrics-text;q=what', 'text'],
    ['application/openmetrics-text;q=7', 'text'],
    [',;,=;q', 'text'],
  ];
  for (const [accept, format] of cases) it(`${accept} → ${format}`, () => expect(formatFor(accept)).to.equal(format));

  it('never fails', () => {
    fc.assert(fc.property(fc.string(), (accept) => formatFor(accept) in CONTENT_TYPES));
  });
});
