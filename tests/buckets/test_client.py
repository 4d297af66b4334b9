"""Objects are written and read by one client, which says what is wrong and how to mend it."""

import errno

import pytest

from closedbook import whole_files
from closedbook.buckets import client, folder_at
from closedbook.cli.faults import told
from closedbook.errors import UserError
from closedbook.file_faults import file_fault

URL = "gs://some-bucket/run/a"


@pytest.fixture(autouse=True)
def some_bucket(buckets):
    buckets.made.add("some-bucket")


def test_an_object_is_written_replaced_and_removed(buckets):
    for content in (b"one", b"", b"two"):
        client.write(URL, content)
        assert client.read(URL) == content
        assert client.keys("gs://some-bucket/run/") == ["a"]
    client.remove(URL)
    client.remove(URL)  # it is gone already: as wanted
    assert client.read(URL) is None
    assert buckets.objects == {}


def test_a_listing_that_may_be_old_is_made_anew_after_a_write():
    assert client.recent_keys("gs://some-bucket/run/") == []
    client.write(URL, b"")
    assert client.recent_keys("gs://some-bucket/run/") == ["a"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_bucket_is_tried_again(buckets, status):
    buckets.busy = [status] * 3
    client.write(URL, b"x")
    assert buckets.objects["some-bucket/run/a"] == b"x"
    assert buckets.busy == []


def test_a_run_reads_as_patiently_as_it_writes(buckets, monkeypatch):
    client.write(URL, b"x")
    monkeypatch.setattr(client, "LOOKING", client.LOOKING | {"max_retries": 1})
    client.forget()

    def reads():
        return client.read(URL), client.keys(URL)

    buckets.failing = 3
    with pytest.raises(client.BucketError, match="All 1 retry attempts"):
        reads()
    with client.patiently():
        buckets.failing = 3
        assert reads() == (b"x", [""])
        buckets.failing = 3
        with pytest.raises(client.BucketError):  # a lock asks again soon by itself
            client.read(URL, hasty=True)


def test_only_one_of_two_changes_an_object_that_both_have_read():
    content, version = client.read_versioned(URL)
    assert content is None
    assert client.write_over(URL, b"mine", version)
    assert not client.write_over(URL, b"theirs", version)
    content, version = client.read_versioned(URL)
    assert content == b"mine"
    assert client.write_over(URL, b"again", version)
    assert not client.write_over(URL, None, version)


def closed(buckets):
    buckets.closed.add("some-bucket")


def read_only(buckets):
    buckets.read_only.add("some-bucket")


def absent(buckets):
    buckets.made.clear()


def broken(buckets):
    buckets.broken = True


@pytest.mark.parametrize(
    ("trouble", "number", "words"),
    [
        (closed, errno.EACCES, "gcloud auth application-default login"),
        (read_only, errno.EACCES, "writing takes the role roles/storage.objectUser"),
        (absent, errno.ENOENT, "there is no bucket 'some-bucket'; check its name"),
        (broken, errno.EIO, "check the network and the name, or give another folder"),
    ],
)
def test_what_cannot_be_written_is_one_line_with_the_place_and_the_remedy(
    buckets, trouble, number, words
):
    trouble(buckets)
    with pytest.raises(client.BucketError) as caught:
        whole_files.write_text(URL, "x")
    assert caught.value.errno == number
    message = told.message(caught.value)
    for each in (message, caught.value.message):
        assert each.startswith(URL)
        assert words in each
        assert "http_response" not in each
    assert file_fault(caught.value).path == URL
    assert buckets.objects == {}


def test_a_folder_that_is_to_appear_at_once_is_refused(buckets):
    with pytest.raises(UserError, match="is made on a disk"), whole_files.folder(URL):
        pass
    assert buckets.requests == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://bucket/run", "mount what is under s3://"),
        ("gs://some-bucket", "a whole bucket; name a folder in it"),
        ("gs://some-bucket/", "a whole bucket; name a folder in it"),
        ("gs://Some_Bucket/run", "which no bucket can be called"),
        ("gs:///run", "which no bucket can be called"),
        ("gs:/some-bucket/run", "with two slashes"),
        ("gs://some-bucket/a#b", "with '#' in its name"),
        ("gs://some-bucket/run?", "with '?' in its name"),
        ("gs://some-bucket/a/../b", "with '..' in its name"),
        ("gs://some-bucket/a\tb", "with '\\t' in its name"),
        ("gs://some-bucket/flags:", "with 'gs:' in its name"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_before_anything_is_asked(buckets, path, words):
    with pytest.raises(UserError) as caught:
        folder_at(path, "MODEL_DIR")
    assert words in str(caught.value)
    assert buckets.requests == []
