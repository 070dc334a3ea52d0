/**
 * Runs before each test file: assertions that take time run too (`src/util/assert.ts`).
 *
 * Invariant: it opens nothing. The simulations import it too. Processes that tests start run the built
 * package, without these assertions.
 */

import { checks } from '../../src/util/assert.ts';

checks.strict = true;
