/**
 * Which transactions the running code is part of: its body is on the stack, or the code goes on
 * from an `await` in that body.
 *
 * Invariant: a body counts until it has settled. Code that awaits is recognised where the platform
 * has `AsyncLocalStorage`; elsewhere only what a body calls before its first `await`. One store of
 * contexts serves all forests, since a body may use several. It is switched on only while a body is
 * under way: it makes every promise of the process take twice as long. It refuses nothing itself.
 */

import { builtinModule } from '../util/builtin-module.ts';

/** Stands for a body that runs. */
export interface RunningBody {
  hasEnded: boolean;
  /** It may await, so that the platform's contexts are switched on for it. */
  mayAwait: boolean;
}

/** A body, and those that it runs in. */
interface Context {
  readonly body: RunningBody;
  readonly outer: Context | undefined;
}

interface ContextStorage {
  getStore(): Context | undefined;
  run<T>(context: Context, run: () => T): T;
  exit<T>(run: () => T): T;
  disable(): void;
}
interface AsyncHooks {
  readonly AsyncLocalStorage?: new () => ContextStorage;
}

let storage: ContextStorage | undefined;
/** Bodies under way that contexts are switched on for. */
let using = 0;
let isAsked = false;
/** The bodies on the stack. */
let onStack: Context | undefined;

function storageOf(): ContextStorage | undefined {
  if (!isAsked) {
    const hooks = builtinModule<AsyncHooks>('async_hooks');
    storage = hooks?.AsyncLocalStorage && new hooks.AsyncLocalStorage();
    isAsked = true;
  }
  return storage;
}

/** Runs what `body` stands for. */
export function runBody<T>(body: RunningBody, run: () => T): T {
  const local = storageOf();
  if (local === undefined) return runOnStack(body, run);
  // Code that a body has left behind may begin the next one, and so on: what has ended is dropped.
  body.mayAwait = true;
  using += 1;
  let outer = local.getStore();
  while (outer?.body.hasEnded === true) outer = outer.outer;
  return local.run({ body, outer }, () => runOnStack(body, run));
}

/** The body has settled. Once is enough. */
export function endBody(body: RunningBody): void {
  if (body.hasEnded) return;
  body.hasEnded = true;
  if (!body.mayAwait) return;
  using -= 1;
  if (using === 0) storage?.disable();
}

/** As `runBody`, of a body that cannot await. */
export function runOnStack<T>(body: RunningBody, run: () => T): T {
  const outer = onStack;
  onStack = { body, outer };
  try {
    return run();
  } finally {
    onStack = outer;
  }
}

/** Runs code that is part of no body. */
export function runOutside<T>(run: () => T): T {
  const outer = onStack;
  onStack = undefined;
  try {
    return storage === undefined ? run() : storage.exit(run);
  } finally {
    onStack = outer;
  }
}

/** Whether the running code is part of this body. */
export function isWithin(body: RunningBody): boolean {
  return has(onStack, body) || has(storage?.getStore(), body);
}

function has(context: Context | undefined, body: RunningBody): boolean {
  for (let one = context; one !== undefined; one = one.outer) if (one.body === body) return true;
  return false;
}
