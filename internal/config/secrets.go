package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Secret reads a secret from its file. Others than the owner must not be able to read it.
func Secret(key, path string) (sensitive.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("%s: the file cannot be read: %w", key, err)
	}
	if !info.Mode().IsRegular() {
		return sensitive.Key{}, fmt.Errorf("%s: %s is not a file", key, path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return sensitive.Key{}, fmt.Errorf("%s: %s can be read by others (mode %04o): chmod 600", key, path, info.Mode().Perm())
	}
	if info.Size() > 64<<10 {
		return sensitive.Key{}, fmt.Errorf("%s: %s is too large for a secret", key, path)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("%s: %w", key, err)
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return sensitive.Key{}, fmt.Errorf("%s: %s is empty", key, path)
	}
	return sensitive.NewKey(s), nil
}

// CheckSecrets reports every secret file that is missing, empty or readable by others, at once. Files that the configuration does not
// name are Check's business.
func (c *Config) CheckSecrets() error {
	var errs []error
	try := func(key, path string) {
		if path == "" {
			return
		}
		if _, err := Secret(key, path); err != nil {
			errs = append(errs, err)
		}
	}
	try("database.dsn_file", c.Database.DSNFile)
	try("vault.master_key_file", c.Vault.MasterKeyFile)
	try("redis.password_file", c.Redis.PasswordFile)
	for i := range c.Institutions {
		in, at := &c.Institutions[i], fmt.Sprintf("institutions[%d]", i)
		try(at+".wechat_mp.app_secret_file", in.WechatMP.AppSecretFile)
		try(at+".wechat_mp.partner_secret_file", in.WechatMP.PartnerSecret)
		try(at+".wechat_pay.merchant_key_file", in.WechatPay.MerchantKeyFile)
		try(at+".wechat_pay.public_key_file", in.WechatPay.PublicKeyFile)
		try(at+".wechat_pay.api_v3_key_file", in.WechatPay.APIv3KeyFile)
		try(at+".wechat_pay.old_api_v3_key_file", in.WechatPay.OldAPIv3KeyFile)
		try(at+hisKey(in)+".secret_file", in.Hospital().SecretFile)
		try(at+hisKey(in)+".notice_key_file", in.Hospital().NoticeKeyFile)
		try(at+hisKey(in)+".answer_key_file", in.Hospital().AnswerKeyFile)
		if in.Insurer != nil {
			try(at+".nhsa_core.secret_file", in.Insurer.SecretFile)
		}
		if in.Centre != nil {
			try(at+".nhsa_mobile.app_secret_file", in.Centre.AppSecretFile)
			try(at+".nhsa_mobile.sm2_private_key_file", in.Centre.PrivateKeyFile)
			try(at+".nhsa_mobile.platform_public_key_file", in.Centre.PlatformKeyFile)
		}
	}
	return errors.Join(errs...)
}
