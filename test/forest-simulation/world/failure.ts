/**
 * A rule that a forest has broken, and the class of it: what failures of one cause share whatever
 * the numbers in their messages are.
 *
 * It decides nothing: `campaign.ts` says which classes are new.
 */

import type { Plan } from '../model/plan.ts';

export class SimulationFailure extends Error {
  /** A plan that shows it, where it is not the one that was run. */
  plan: Plan | undefined;
  /** The message without its numbers. */
  readonly kind: string;

  constructor(kind: string, detail = '', options: { readonly cause?: unknown } = {}) {
    super(detail === '' ? kind : `${kind}: ${detail}`, options);
    this.kind = withoutNumbers(kind);
  }
}

function withoutNumbers(text: string): string {
  return text.replace(/\d+/g, 'N');
}

/** What an error is called in a failure. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return `a value that is no error: ${String(error)}`;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A failure: something ended in an error that it may not have. */
export function unexpected(what: string, error: unknown): SimulationFailure {
  const { stack } = error as Partial<Error>;
  const detail = what.endsWith('the life throws') ? String(stack) : messageOf(error);
  return new SimulationFailure(`${what}: ${nameOf(error)}`, detail, { cause: error });
}
