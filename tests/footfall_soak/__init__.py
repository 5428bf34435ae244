"""The soak: a whole city of real processes, struck by a seeded schedule of faults, and a ledger that nothing escapes.

`layout` says what the city is made of, `city` runs it, `faults` has the kinds of trouble, `schedule` when each comes,
`soak` lets it happen, `ledger` holds what was stored against what was true, `watch` looks at memory and recovery, and
`report` tells what came out. docs/soak.md is for those who run it.
"""
