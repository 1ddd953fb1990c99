// When a command has printed what a page shows.
import { expect } from 'chai';
import { compareShown, withIdsOf } from './shown-output.ts';

/** What is different; '' nothing. */
function difference(shown: string, printed: string): string {
  const compared = compareShown(shown.split('\n'), `${printed}\n`);
  return compared.same ? '' : compared.why;
}

describe('test/support: output as a page shows it', () => {
  for (const [what, shown, printed] of [
    ['ages', 'a 35s 11h', 'a 2m10s 9h'],
    ['times', '2026-11-21T19:15:31.673Z x 2026-11-21 19:15:23Z', '2027-01-01T00:00:00Z x 2027-01-01 01:02:03Z'],
    ['addresses', 'at 10.244.0.22:8080', 'at 10.244.1.7:8080'],
    ['random ends of names', 'pod web-7c9b7bd8bd-jc2dg', 'pod web-6ddd66fdc6-z8rh7'],
    ['trace ids', 'b64f2dbcd13c9322154851cbbe717207', '00000000d13c9322154851cbbe717207'],
    ['latencies and shares', '2.37 ms  89.8 % ████████▍', '12.1 ms 9 % █'],
    ['counts of three digits', 'ok 5217', 'ok 123'],
    ['widths of columns', 'NAME   READY', 'NAME                READY   '],
    ['text left out within a line', 'a … c', 'a b b c'],
    ['lines left out', 'a\n...\nd', 'a\nb\nc\nd'],
    ['no lines left out where some may be', '...\na\n...', 'a'],
  ])
    it(`may differ in ${what}`, () => {
      expect(difference(shown, printed)).to.equal('');
    });

  for (const [what, shown, printed, why] of [
    ['words', 'ACCEPTED True', 'ACCEPTED False', 'shown is "ACCEPTED True", printed "ACCEPTED False"'],
    ['small numbers', '17 ok, 0 failed', '16 ok, 1 failed', 'shown is "17 ok, 0 failed", printed "16 ok, 1 failed"'],
    ['ports', 'payment:8080', 'payment:8081', 'shown is "payment:8080", printed "payment:8081"'],
    ['names', 'web-7c9b7bd8bd-jc2dg', 'api-7c9b7bd8bd-jc2dg', 'shown is "web-7c9b7bd8bd-jc2dg", printed "api-7c9b7bd8bd-jc2dg"'],
    ['lines more', 'a', 'a\nb', 'printed is more: "b"'],
    ['lines fewer', 'a\nb', 'a', 'the output ends before "b"'],
    ['what comes after lines left out', '...\nz', 'a\nb', 'no line is like "z"'],
    ['signs that have a meaning in expressions', 'a.b (c)', 'axb (c)', 'shown is "a.b (c)", printed "axb (c)"'],
  ])
    it(`must not differ in ${what}`, () => {
      expect(difference(shown, printed)).to.equal(why);
    });

  it('gives the ids of this run, for commands that name those of the page', () => {
    const compared = compareShown(['...', 'x web-7c9b7bd8bd-jc2dg', '...'], 'a\nx web-6ddd66fdc6-z8rh7\nb\n');
    expect(compared.same && withIdsOf('kubectl logs web-7c9b7bd8bd-jc2dg', compared.ids)).to.equal('kubectl logs web-6ddd66fdc6-z8rh7');
  });
});
