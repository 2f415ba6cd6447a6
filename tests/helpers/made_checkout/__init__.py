"""Made-up checkouts of trainers, in their published layout, for the tests that change one."""
