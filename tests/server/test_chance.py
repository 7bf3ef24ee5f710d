from vbatch.server.chance import chance


def test_chance_repeats_itself_and_tells_its_three_arguments_apart():
    assert chance(1, 2, "x") == chance(1, 2, "x")
    assert len({chance(1, 2, "x"), chance(2, 2, "x"), chance(1, 3, "x"), chance(1, 2, "y")}) == 4


def test_chance_is_spread_evenly():
    drawn = [chance(0, number, "x") for number in range(4000)]
    assert all(0 <= value < 1 for value in drawn)
    for tenth in range(10):
        share = sum(tenth / 10 <= value < (tenth + 1) / 10 for value in drawn) / len(drawn)
        assert 0.08 < share < 0.12
