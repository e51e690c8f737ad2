"""The Hugging Face hub as a source of models, by its own library, which is imported on first use."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nixl_efa.failure import Failure
from nixl_efa.service.staged import File, has_weights, wanted

_MISSING = (
    "models of the hub need the package huggingface_hub, which is not installed: "
    "`pip install huggingface_hub`, or give a folder in S3 (s3://bucket/x)."
)


def _library() -> Any:
    try:
        found = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise Failure(_MISSING) from error
    # The progress that is told is that of all files.
    importlib.import_module("huggingface_hub.utils").disable_progress_bars()
    return found


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the hub. cache: a folder here, in which a file is kept until it is in the bucket."""

    name: str
    cache: Path

    def files(self) -> tuple[str, tuple[File, ...]]:
        """The newest commit, and the files of it that an engine reads."""
        library = _library()
        try:
            info = library.HfApi().model_info(self.name, files_metadata=True)
        except Exception as error:
            raise self._failure(error) from error
        every = [
            File(
                one.rfilename, one.size or 0, f"sha256:{one.lfs.sha256}" if one.lfs else f"git:{one.blob_id}"
            )
            for one in info.siblings or ()
        ]
        found = wanted(every)
        if not has_weights(found):
            raise Failure(f"{self.name} on the hub has no weights (*.safetensors or *.bin) for an engine.")
        return str(info.sha), found

    def fetch(self, file: File, revision: str) -> Path:
        """Downloads a file, or the rest of it."""
        try:
            found = _library().hf_hub_download(
                self.name, file.name, revision=revision, local_dir=str(self.cache)
            )
        except Exception as error:
            raise self._failure(error) from error
        return Path(found)

    def _failure(self, error: Exception) -> Failure:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        # The library's own classes, by name: it is imported late.
        kinds = {one.__name__ for one in type(error).__mro__}
        if kinds & {
            "RepositoryNotFoundError",
            "GatedRepoError",
            "HFValidationError",
            "RevisionNotFoundError",
        }:
            remedy = "Is the name right? A model that is not open needs HF_TOKEN, or `hf auth login`."
        else:
            remedy = "Does this machine reach the hub (HF_ENDPOINT, HTTPS_PROXY)? The same command continues."
        return Failure(f"the hub does not give {self.name}: {said.rstrip('.')}. {remedy}")
