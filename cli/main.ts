#!/usr/bin/env node
// The command line's entry: `weft VERB …`, also installed as `kubectl-weft`.
import { runProgram } from './program.ts';

// `weft … | head` closes the pipe when it has read enough: no reason to end with a stack.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const code = await runProgram(process.argv.slice(2), { stdout: process.stdout, stderr: process.stderr, env: process.env });
if (code !== 0) process.exitCode = code;
