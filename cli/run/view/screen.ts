// Where a run's output goes. On a terminal the view stays at the bottom and log lines scroll away above it; elsewhere
// both are plain lines.

export interface ScreenOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[0J';

export interface Screen {
  /** Does the view get redrawn in place? */
  readonly live: boolean;
  size(): { columns: number; rows: number };
  log(line: string): void;
  draw(lines: readonly string[]): void;
  /** Takes the view away (`keep`: leaves its last state) and restores the cursor. */
  close(keep: boolean): void;
}

/** A view on `out`, redrawn in place. The whole of it is written at once, so nothing flickers. */
export function liveScreen(out: ScreenOutput): Screen {
  let drawn: readonly string[] = [];
  let closed = false;
  const size = () => ({ columns: out.columns || 80, rows: (out.rows || 24) - 1 });
  const up = () => (drawn.length > 0 ? `\u001b[${drawn.length}A\r` : '');
  const paint = (lines: readonly string[]) => lines.map((line) => `${line}\u001b[0K\n`).join('');
  return {
    live: true,
    size,
    log: (line) => {
      if (closed) return void out.write(`${line}\n`);
      // A window that was made smaller has rewrapped the view: it is drawn again at the next second.
      out.write(`${up()}${CLEAR_BELOW}${line}\n${paint(drawn)}`);
    },
    draw: (lines) => {
      if (closed) return;
      const shown = lines.slice(0, size().rows);
      out.write(`${HIDE_CURSOR}${up()}${paint(shown)}${CLEAR_BELOW}`);
      drawn = shown;
    },
    close: (keep) => {
      if (closed) return;
      closed = true;
      out.write(`${keep ? '' : up() + CLEAR_BELOW}${SHOW_CURSOR}`);
      drawn = [];
    },
  };
}

/** Plain lines: logs and talk to `talk`, the view to `view`. */
export function plainScreen(view: ScreenOutput, talk: ScreenOutput): Screen {
  return {
    live: false,
    size: () => ({ columns: 200, rows: 1000 }),
    log: (line) => void talk.write(`${line}\n`),
    draw: (lines) => void (lines.length > 0 && view.write(`${lines.join('\n')}\n`)),
    close: () => {},
  };
}
