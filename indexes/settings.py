"""Settings, read in this one place: arguments, then `LOREMILL_*`, then `loremill.toml`, then these defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from indexes.errors import ConfigError

DEFAULT_HOME = Path("~/.loremill")

JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
]  # fmt: skip
"""Signatures whose key may be published. With a shared secret (HS256) who checks a token could make one as well."""


class Settings(BaseSettings):
    """Everything that can be set. Each field is `LOREMILL_<FIELD>` in the environment and a key in `loremill.toml`."""

    model_config = SettingsConfigDict(env_prefix="LOREMILL_", toml_file="loremill.toml", extra="forbid")

    home: Path = DEFAULT_HOME
    catalog_url: str = Field(
        "",
        repr=False,
        description="postgresql://USER:PASSWORD@HOST:PORT/DATABASE of the tenants' catalogs; empty: a SQLite file each, in the home",
    )
    embedder: str = Field(
        "minilm",
        description="minilm (exact), minilm-fast (8 bits, twice the speed), or any sentence-transformers model by name or folder",
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(0, ge=0, description="threads for embedding; 0 means one a core")
    vector_index: str = Field(
        "faiss",
        description="faiss; cuda, faiss-gpu; qdrant (a server or cluster), qdrant-edge (in process); auto: cuda where it fits, else faiss",
    )
    lexical_index: str = Field("tantivy", description="tantivy, or qdrant (sparse vectors)")
    qdrant_url: str = Field(
        "", description="http(s)://host:6333 of the server; empty: local mode, for small data and tests"
    )
    qdrant_api_key: str = Field("", repr=False)
    chunk_tokens: int = Field(220, ge=16, le=8192, description="most tokens in a chunk, by the embedder's tokenizer")
    chunk_overlap: int = Field(0, ge=0, description="tokens that neighbouring chunks share")
    max_document_bytes: int = Field(100_000_000, ge=1, description="larger source items are quarantined")
    max_query_chars: int = Field(20_000, ge=1, description="longer queries are refused")
    parse_timeout_s: float = Field(60.0, gt=0)
    parse_workers: int = Field(0, ge=0, description="documents parsed at once; 0 means one a core")
    diversity: float = Field(
        0.0, ge=0.0, lt=1.0, description="how much being unlike the hits before counts in a hybrid search"
    )
    rerank: str = Field(
        "off", min_length=1, description="off, packaged, or a sentence-transformers CrossEncoder by name or folder"
    )
    rerank_depth: int = Field(20, ge=1, le=1000, description="hits that the reranker reads")
    generator: str = Field("extractive", description="extractive, openai or gguf")
    prompt: str = Field(
        "answer@1",
        description="what a generator is asked with: a packaged prompt or prompts/NAME@VERSION.md of the home",
    )
    answer_passages: int = Field(12, ge=1, le=100, description="hits that an answer may rest on")
    promotion: Literal["auto", "gated"] = Field(
        "auto",
        description="auto: changed settings go live with the next ingestion, until a release is promoted; gated: by promotion alone",
    )
    gate_max_age_hours: float = Field(168.0, gt=0, description="older gate records let no release be promoted")
    openai_base_url: str = ""
    openai_model: str = ""
    openai_api_key: str = Field("", repr=False)
    gguf_path: Path | None = None
    generator_timeout_s: float = Field(60.0, gt=0, description="longest wait for the first and for each next token")
    generator_retries: int = Field(2, ge=0)
    max_answer_tokens: int = Field(400, ge=1)
    judge_base_url: str = Field("", description="OpenAI-compatible server that judges answers in evaluations")
    judge_model: str = ""
    judge_api_key: str = Field("", repr=False)
    judge_concurrency: int = Field(4, ge=1, le=256, description="requests to the judge under way at once")
    judge_timeout_s: float = Field(60.0, gt=0, description="longest wait for one reply of the judge")
    judge_retries: int = Field(4, ge=0, description="further tries after a timeout, a lost connection, 429 or 5xx")
    judge_max_tokens: int = Field(
        2048, ge=1, description="of one reply of the judge; one cut off there is a failed judgement"
    )
    cache_entries: int = Field(
        4096, ge=0, description="searches and answers that a tenant keeps in memory; 0 keeps none"
    )
    cache_chars: int = Field(32_000_000, ge=0, description="most characters of them")
    memory_max_chars: int = Field(100_000, ge=1, description="longer texts are not remembered")
    memory_max_messages: int = Field(10_000, ge=1, description="most messages remembered at once")
    memory_cache_mb: int = Field(2048, ge=1, description="memory of each tenant that is kept ready to be searched")
    recall_sample: int = Field(
        500, ge=0, description="one in so many approximate searches is checked by an exact one, for /metrics; 0: none"
    )
    audit: bool = Field(True, description="write down who saw what, a log for each tenant")
    audit_key: str = Field("", repr=False, description="seals the audit log; keep it where the log's files are not")
    audit_queries: bool = Field(False, description="also write down what was asked")
    audit_fsync: bool = Field(False, description="wait for the disk at each record")
    audit_days: int = Field(0, ge=0, le=36_500, description="records of days older than this are removed; 0 keeps all")

    jwt_jwks: str = Field(
        "", description="URL or file of the issuer's keys (JWKS); empty: tokens are refused, API keys hold"
    )
    jwt_issuer: str = Field("", description="what `iss` must be")
    jwt_audience: str = Field("", description="what `aud` must be or hold")
    jwt_algorithms: tuple[JwtAlgorithm, ...] = Field(("RS256", "PS256", "ES256", "EdDSA"), min_length=1)
    jwt_leeway_s: int = Field(30, ge=0, le=300, description="how far the issuer's clock may be off")
    jwt_jwks_ttl_s: float = Field(60.0, ge=5, description="how long a key may hold that the issuer has withdrawn")
    jwt_tenant_claim: str = Field("tenant", min_length=1)
    jwt_subject_claim: str = Field("sub", min_length=1)
    jwt_groups: Literal["claim", "directory"] = Field(
        "claim", description="claim: groups are the token's; directory: those of the imported principal of that subject"
    )
    jwt_groups_claim: str = Field("groups", min_length=1)
    jwt_role_claim: str = Field("role", min_length=1)

    @field_validator("vector_index", "lexical_index")
    @classmethod
    def _backend_is_known(cls, name: str, info: ValidationInfo) -> str:
        """Runs where one is set, so that the defaults import nothing."""
        from indexes.lexical_backends import LEXICAL_BACKENDS
        from indexes.vectors import AUTO, BACKENDS

        known = {AUTO, *BACKENDS} if info.field_name == "vector_index" else set(LEXICAL_BACKENDS)
        if name not in known:
            raise ValueError(f"choose from {', '.join(sorted(known))}")
        return name

    @field_validator("catalog_url")
    @classmethod
    def _url_of_postgresql(cls, url: str) -> str:
        if url:
            from indexes.catalog_postgres import parse_url

            try:
                parse_url(url)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return url

    @field_validator("qdrant_url")
    @classmethod
    def _url_of_a_server(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must be an http or https URL")
        return url

    @model_validator(mode="after")
    def _tokens_are_bound(self) -> Settings:
        """Without issuer and audience a token made for some other service would open this one."""
        if self.jwt_jwks and not self.jwt_issuer:
            raise ValueError("jwt_issuer is required where jwt_jwks is set: what `iss` must be")
        if self.jwt_jwks and not self.jwt_audience:
            raise ValueError("jwt_audience is required where jwt_jwks is set: what `aud` must be or hold")
        if "://" in self.jwt_jwks and not self.jwt_jwks.startswith(("https://", "http://")):
            raise ValueError("jwt_jwks must be an http or https URL, or the path of a file")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**overrides: Any) -> Settings:
    """Return the settings; overrides that are None count as not given.

    Raises:
        ConfigError: a value is out of range or a key is unknown, naming it.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ") for fault in error.errors()
        )
        raise ConfigError(f"bad setting: {faults}") from error
    except ValueError as error:  # malformed TOML
        raise ConfigError(f"loremill.toml cannot be read: {error}") from error
