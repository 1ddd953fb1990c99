// What the runner of the guides reads of a page.
import { expect } from 'chai';
import { PageError, pageOf } from './guide-page.ts';

const block = (...lines: string[]) => ['```console', ...lines, '```', ''].join('\n');

describe('test/support: a page of the guides', () => {
  it('has commands with the output that follows them', () => {
    const { blocks } = pageOf(`# A page\n\n${block('$ one', 'shown', '', '  more', '', '$ two')}`);
    expect(blocks).to.deep.equal([
      {
        line: 3,
        notRun: undefined,
        beginsWithoutWeft: false,
        steps: [
          { line: 4, command: 'one', shown: ['shown', '', '  more'], exitCode: 0 },
          { line: 9, command: 'two', shown: [], exitCode: 0 },
        ],
      },
    ]);
  });

  it('has commands of several lines: behind a backslash, the second prompt, and up to the end of a here-document', () => {
    const [{ steps }] = pageOf(
      block('$ a \\', '  b', 'shown', '$ for x in 1; do', '> echo $x', '> done', "$ cat <<'EOF'", 'x', 'EOF', 'y'),
    ).blocks;
    expect(steps.map(({ command, shown }) => [command, shown])).to.deep.equal([
      ['a \\\n  b', ['shown']],
      ['for x in 1; do\necho $x\ndone', []],
      ["cat <<'EOF'\nx\nEOF", ['y']],
    ]);
  });

  it('has scripts, each line of which is a command', () => {
    const { blocks } = pageOf('```sh\n# why\nexport A=1\n\nmake \\\n  all\n```\n');
    expect(blocks[0].steps.map(({ command }) => command)).to.deep.equal(['export A=1', 'make \\\n  all']);
  });

  it('has invisible comments above a block, also where blocks are indented', () => {
    const { blocks } = pageOf(
      `1. x\n\n   <!-- not run: needs a browser -->\n   <!-- exits 3: two -->\n   \`\`\`console\n   $ one\n   $ two\n   \`\`\`\n`,
    );
    expect(blocks[0]).to.include({ notRun: 'needs a browser' });
    expect(blocks[0].steps.map(({ command, exitCode }) => [command, exitCode])).to.deep.equal([
      ['one', 0],
      ['two', 3],
    ]);
    expect(pageOf(`<!-- begins without Weft -->\n${block('$ one')}`).blocks[0].beginsWithoutWeft).to.equal(true);
    expect(pageOf(`<!-- not run: elsewhere -->\n\nText between.\n\n${block('$ one')}`).blocks[0].notRun).to.equal(undefined);
  });

  for (const [what, page] of Object.entries({
    'a comment that means nothing': `<!-- not run -->\n${block('$ one')}`,
    'a comment about a command that is not there': `<!-- exits 1: two -->\n${block('$ one')}`,
    'output before any command': block('one'),
    'a block without an end': '```console\n$ one\n',
  })) {
    it(`is refused with ${what}`, () => {
      expect(() => pageOf(page)).to.throw(PageError, /^line \d/);
    });
  }

  it('has files: YAML blocks that begin with their name', () => {
    const yaml = (first: string) => `\`\`\`yaml\n${first}\na: 1\n\`\`\`\n`;
    const { files } = pageOf([yaml('# values.yaml'), yaml('# /etc/x.yaml'), yaml('# a comment')].join('\n'));
    expect(files).to.deep.equal([{ line: 1, name: 'values.yaml', text: '# values.yaml\na: 1\n' }]);
  });
});
