/**
 * The answer to a question as it is kept: each section's text, figures and charts, and the goals.
 *
 * Invariant: plain data that JSON holds, so that what one process measured another can write down.
 * What was not measured is NaN here and null after JSON. Measures and prints nothing.
 */

import type { Kind } from './contestant.ts';
import type { GoalResult } from './goals.ts';
import type { Machine } from './machine.ts';

/** How the values of a chart are written: milliseconds as a time, anything else with its unit. */
export type Scale = { readonly of: 'time' } | { readonly of: 'count'; readonly unit: string };

export interface Bar {
  readonly name: string;
  readonly kind: Kind;
  readonly value: number | null;
}

/** Bars from zero, side by side. */
export interface BarChart {
  readonly shape: 'bars';
  readonly title: string;
  readonly scale: Scale;
  readonly better: 'less' | 'more';
  readonly bars: readonly Bar[];
}

/** Two bars for each name, one below the other, all on one scale. */
export interface PairedBarChart {
  readonly shape: 'paired-bars';
  readonly title: string;
  readonly scale: Scale;
  readonly better: 'less' | 'more';
  /** The names of the first and of the second bar of each pair. */
  readonly pair: readonly [string, string];
  readonly bars: readonly PairOfBars[];
}

export interface PairOfBars {
  readonly name: string;
  readonly kind: Kind;
  readonly values: readonly [number | null, number | null];
}

export interface Curve {
  readonly name: string;
  readonly kind: Kind;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** Curves over a count, both axes logarithmic. */
export interface CurveChart {
  readonly shape: 'curves';
  readonly title: string;
  readonly scale: Scale;
  /** What the x axis counts. */
  readonly over: string;
  readonly curves: readonly Curve[];
}

export type Chart = BarChart | PairedBarChart | CurveChart;

export interface AnswerSection {
  readonly title: string;
  /** The table, as it was printed, without the title. */
  readonly text: string;
  readonly figures: Readonly<Record<string, number | null>>;
  readonly charts: readonly Chart[];
  /** All that was measured of each contestant. */
  readonly contestants: readonly unknown[];
}

export interface Answer {
  readonly name: string;
  readonly title: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly sections: readonly AnswerSection[];
  readonly goals: readonly GoalResult[];
}
