"""A corpus to go through, written down as evidence."""

import pytest

from tests.corpora.cases import Corpus


@pytest.fixture
def corpus(evidence):
    return Corpus(evidence)
