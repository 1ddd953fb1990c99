#!/usr/bin/env node
// The command line's entry: `weft VERB …`, also installed as `kubectl-weft`.
import { runProgram } from './program.ts';

const code = await runProgram(process.argv.slice(2), { stdout: process.stdout, stderr: process.stderr, env: process.env });
if (code !== 0) process.exitCode = code;
