/**
 * Goals held against figures: what was found, whether that holds, and by how much it misses.
 *
 * Invariant: a figure that was not measured holds nothing. A goal is a bound to one number, at
 * most or at least; where the number comes from is the question's affair. Prints nothing.
 */

import { threeDigits } from './figures.ts';

/** Medians by section and contestant, unless the name says otherwise; NaN if not measured. */
export interface Figures {
  /** Milliseconds of one operation. */
  time(section: string, contestant: string): number;
  /** Milliseconds of one operation: the median of the averages of the processes. */
  average(section: string, contestant: string): number;
  /** Milliseconds that 99 of 100 runs do not exceed. */
  p99(section: string, contestant: string): number;
  /** Operations in a second. */
  rate(section: string, contestant: string): number;
  bestPeerTime(section: string): number;
  bestPeerAverage(section: string): number;
  bestPeerRate(section: string): number;
  /** What a section that measures in its own way calls so. */
  figure(section: string, name: string): number;
}

/** `value` is to be at most, or at least, so much. */
export interface Goal {
  readonly text: string;
  readonly most?: number;
  readonly least?: number;
  /** Measured in a full run only: what is quick leaves it out. */
  readonly fullOnly?: boolean;
  value(figures: Figures): number;
}

/** As it is written to JSON, where a NaN becomes null. */
export interface GoalResult {
  readonly goal: string;
  /** NaN where it was not measured. */
  readonly value: number | null;
  readonly most?: number;
  readonly least?: number;
  readonly holds: boolean;
}

export function resultOfGoal(goal: Goal, figures: Figures): GoalResult {
  const { text, most, least } = goal;
  const value = goal.value(figures);
  const holds = value <= (most ?? value) && value >= (least ?? value);
  return {
    goal: text,
    value,
    ...(most === undefined ? {} : { most }),
    ...(least === undefined ? {} : { least }),
    holds,
  };
}

/** `1.13, holds`, or `1.59, misses by 22 %`: the share of the bound. */
export function verdictText({ value, most, least, holds }: GoalResult): string {
  if (value === null || Number.isNaN(value)) return 'not measured';
  if (holds) return `${threeDigits(value)}, holds`;
  const bound = most !== undefined && value > most ? most : (least ?? Number.NaN);
  const share = threeDigits((Math.abs(value - bound) / bound) * 100);
  return `${threeDigits(value)}, misses by ${share} %`;
}

export function goalText(result: GoalResult): string {
  return `goal: ${result.goal}: ${verdictText(result)}`;
}
