// Which program a command names.
import { basename, dirname } from 'node:path';
import { expect } from 'chai';
import { findProgram, missingScript } from '#local/process/program.ts';

describe('local/process: a program', () => {
  it('is found along the PATH, or by its path from the working directory', () => {
    const nodeDirectory = dirname(process.execPath);
    expect(findProgram('node', '/', nodeDirectory)).to.deep.equal({ file: process.execPath });
    expect(findProgram('./node', nodeDirectory, '')).to.deep.equal({ file: process.execPath });
    expect(findProgram('no-such-thing', '/', '/bin:/usr/bin')).to.deep.equal({ error: 'there is no command no-such-thing on the PATH' });
    expect(findProgram('./no-such-thing', '/tmp', '')).to.deep.equal({ error: 'there is no file /tmp/no-such-thing' });
    expect(findProgram('/etc/passwd', '/', '')).to.deep.equal({ error: '/etc/passwd is not executable' });
    expect(findProgram('node', '/no/such/directory', nodeDirectory))
      .to.have.property('error')
      .that.includes('/no/such/directory');
  });

  it('is missing when it is the script of a node command that is not there', () => {
    const here = import.meta.dirname;
    expect(missingScript(['node', 'gone.mjs'], here)).to.include('gone.mjs');
    expect(missingScript(['node', basename(import.meta.filename)], here)).to.equal(null);
    expect(missingScript(['node', '-e', '1'], here)).to.equal(null);
    expect(missingScript(['python', 'gone.py'], here)).to.equal(null);
  });
});
