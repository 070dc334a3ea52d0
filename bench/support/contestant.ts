/**
 * A contestant: one way to do the work that a question is about.
 *
 * Invariant: what the clock runs over is `run` and nothing else: what prepares it belongs into
 * `open` and `before`. A contestant has a folder of its own, which is gone after the question.
 */

/** `floor`: the least that the work can cost, whoever does it. */
export type Kind = 'floor' | 'varve' | 'peer';

export interface Contestant {
  readonly name: string;
  readonly kind: Kind;
  /** Package of the peer that it needs. */
  readonly peer?: string;
  /** Name of the floor that it is held against; the first of its section where none is given. */
  readonly floor?: string;
  /** Loops that call `run` side by side, each awaiting its own. Default 1. */
  readonly clients?: number;
  /** Operations that one `run` does, for those too short for a clock. Default 1. */
  readonly operations?: number;
  /** Sets it up in an empty folder. */
  open(folder: string): Running | Promise<Running>;
}

export interface Running {
  /** The timed work: done when it returns or, where it gives a promise, when that resolves. */
  run(client: number): unknown;
  /** What comes before each `run`, untimed; not where there are several clients. */
  before?(): void | Promise<void>;
  /** A line to be shown below the table, asked for before `close`. */
  note?(): string;
  close?(): void | Promise<void>;
}

/** How long a slice is measured. */
export interface SliceEffort {
  /** Milliseconds; a slice has one sample at least. */
  readonly slice: number;
  /** Milliseconds of work at the begin of the slice that are not counted. */
  readonly warmUp: number;
  /** Runs at the begin of the slice that are not counted. Default 1 in the first slice. */
  readonly warmUpRuns?: number;
  /** A slice ends after that number of samples. */
  readonly samplesMax?: number;
}

/** Each contestant has one slice in each round. */
export interface Effort extends SliceEffort {
  readonly rounds: number;
}
