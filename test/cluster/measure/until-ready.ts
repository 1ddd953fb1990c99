// Asks until the answer is 200, then prints the time (ms since the epoch); a program, to be started in a pod's network:
// node until-ready.ts <url>
const EVERY_MS = 10;
const url = process.argv[2];

const isReady = async (): Promise<boolean> => {
  try {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false;
  }
};
while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
process.stdout.write(`${performance.timeOrigin + performance.now()}\n`);
// Kept connections would hold it.
process.exit(0);
