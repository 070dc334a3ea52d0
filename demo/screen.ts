/**
 * What a person sees of the demo: a line for each step, and, while it runs, a progress bar on a
 * terminal or now and then a plain line elsewhere.
 *
 * Invariant: what is printed in the end is the same in both; the bar leaves nothing behind, the
 * cursor included. It decides nothing.
 */

import cliProgress from 'cli-progress';
import { bytesText, countText, plural, rowText, threeDigits } from '../bench/support/figures.ts';

/** Milliseconds between two plain lines of one step. */
const plainEvery = 5_000;
/** 78 columns in all. */
const widths = [16, 7, 8, 7, 7, 5, 5, 9];

/** Everything that a step did. */
export interface StepFigures {
  readonly files: number;
  readonly bytes: number;
  readonly milliseconds: number;
  /** The bytes went by, so that their rate says something. */
  readonly bytesMoved: boolean;
  readonly syncs?: number;
  readonly sessions?: number;
}

/** A step under way. */
export interface StepProgress {
  advance(bytes: number): void;
  /** Takes the bar away. */
  end(): void;
}

export class Screen {
  readonly #stream = process.stdout;
  #bar: cliProgress.SingleBar | undefined;

  line(text = ''): void {
    this.#stream.write(`${text}\n`);
  }

  heading(): void {
    const titles = ['step', 'files', 'bytes', 'seconds', 'files/s', 'MB/s', 'syncs', 'sess/sync'];
    this.line(rowText(titles, widths));
    this.line(
      rowText(
        widths.map((width) => '-'.repeat(width)),
        widths,
      ),
    );
  }

  /** The line of a step that is over. */
  step(name: string, figures: StepFigures): void {
    const { files, bytes, milliseconds, bytesMoved, syncs, sessions } = figures;
    const seconds = milliseconds / 1e3;
    const cells = [
      name,
      countText(files),
      bytesText(bytes),
      seconds.toFixed(2),
      countText(files / seconds),
      bytesMoved ? threeDigits(bytes / 1e6 / seconds) : '',
    ];
    if (syncs !== undefined && sessions !== undefined) {
      cells.push(countText(syncs), threeDigits(sessions / syncs));
    }
    this.line(rowText(cells, widths));
  }

  /** A step that has no files of its own: its time and a remark. */
  remark(name: string, milliseconds: number, remark: string): void {
    const cells = [name, '', '', (milliseconds / 1e3).toFixed(2)];
    this.line(`${rowText(cells, widths)}   ${remark}`.trimEnd());
  }

  /** Shows how far a step of so many files and bytes is. */
  progress(name: string, total: { readonly files: number; readonly bytes: number }): StepProgress {
    return this.#stream.isTTY ? this.#drawBar(name, total) : this.#plainLines(name, total);
  }

  #drawBar(name: string, total: { readonly files: number; readonly bytes: number }): StepProgress {
    const bar = new cliProgress.SingleBar({
      stream: this.#stream,
      format: `${name.padEnd(16)}  {bar}  {percentage} %  {done}`,
      barsize: Math.max(10, Math.min(30, this.#stream.columns - 50)),
      barCompleteChar: '█',
      barIncompleteChar: '░',
      autopadding: true,
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false,
    });
    this.#bar = bar;
    let files = 0;
    // Large files take as long as many small ones: a file counts as 32 kB beside its bytes.
    let weight = 0;
    bar.start(total.bytes + total.files * fileWeight, 0, { done: '' });
    return {
      advance: (bytes) => {
        files += 1;
        weight += bytes + fileWeight;
        bar.update(weight, { done: `${countText(files)} of ${plural(total.files, 'file')}` });
      },
      end: () => this.leave(),
    };
  }

  #plainLines(
    name: string,
    total: { readonly files: number; readonly bytes: number },
  ): StepProgress {
    let files = 0;
    let bytes = 0;
    let last = performance.now();
    return {
      advance: (more) => {
        files += 1;
        bytes += more;
        if (performance.now() - last < plainEvery) return;
        last = performance.now();
        const of = `${countText(files)} of ${plural(total.files, 'file')}`;
        this.line(`${name}: ${of}, ${bytesText(bytes)} of ${bytesText(total.bytes)}`);
      },
      end: () => {},
    };
  }

  /** Takes the bar, where there is one, off the terminal. */
  leave(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

const fileWeight = 32_000;
