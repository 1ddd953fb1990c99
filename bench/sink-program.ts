// The trace sink as a program: node sink-program.ts <port>.
import { createSinkServer } from './sink.ts';

createSinkServer().listen(Number(process.argv[2]), '127.0.0.1');
