// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>

#include "check.h"
#include "family.h"
#include "filesystem.h"
#include "find.h"
#include "request.h"

static int level_parse_name(struct level *level, const struct nlattr *attribute)
{
	const char *name = nla_data(attribute);
	size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (!size || name[size])
		return -EINVAL;
	strscpy(level->name, name, sizeof(level->name));
	return 0;
}

static int level_parse(struct level *level, const struct nlattr *attribute, struct genl_info *info)
{
	struct nlattr *attrs[FS_NL_LEVEL_MAX + 1];
	int error;

	error = nla_parse_nested(attrs, FS_NL_LEVEL_MAX, attribute, family_level_policy,
				 info->extack);
	if (error)
		return error;
	if (!attrs[FS_NL_LEVEL_NAME] || !attrs[FS_NL_LEVEL_RESOURCE] || !attrs[FS_NL_LEVEL_BELOW] ||
	    !attrs[FS_NL_LEVEL_ABOVE]) {
		NL_SET_ERR_MSG_ATTR(info->extack, attribute,
				    "a level needs NAME, RESOURCE, BELOW and ABOVE");
		return -EINVAL;
	}
	if (level_parse_name(level, attrs[FS_NL_LEVEL_NAME])) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[FS_NL_LEVEL_NAME],
				    "a level's name is of a-z, 0-9 and -");
		return -EINVAL;
	}
	level->resource = nla_get_u32(attrs[FS_NL_LEVEL_RESOURCE]);
	level->below = nla_get_u64(attrs[FS_NL_LEVEL_BELOW]);
	level->above = nla_get_u64(attrs[FS_NL_LEVEL_ABOVE]);
	if (level->above < level->below) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[FS_NL_LEVEL_ABOVE],
				    "ABOVE must be at least BELOW");
		return -EINVAL;
	}
	level->is_new = true;
	return 0;
}

/* Of the levels for blocks, the first two have the events that they had in 2015. */
static void level_give_events(struct level *level, unsigned int n_before)
{
	level->below_id = FS_EVENT_THR_BELOW;
	level->above_id = FS_EVENT_THR_ABOVE;
	if (level->resource != FS_LEVEL_BLOCKS || n_before > 1)
		return;
	level->below_id = n_before ? FS_THR_URBELOW : FS_THR_LRBELOW;
	level->above_id = n_before ? FS_THR_URABOVE : FS_THR_LRABOVE;
}

struct asked_levels {
	struct level *levels;
	unsigned int n_levels;
};

static int levels_parse(struct asked_levels *asked, struct genl_info *info)
{
	struct nlattr *list = info->attrs[FS_NL_A_LEVELS], *attribute;
	unsigned int n_blocks = 0, i;
	struct level *level;
	int rest, error;

	nla_for_each_nested(attribute, list, rest) {
		if (asked->n_levels == FS_EVENT_LEVELS_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, attribute, "too many levels");
			return -EINVAL;
		}
		level = &asked->levels[asked->n_levels];
		error = level_parse(level, attribute, info);
		if (error)
			return error;
		for (i = 0; i < asked->n_levels; i++) {
			if (strcmp(asked->levels[i].name, level->name))
				continue;
			NL_SET_ERR_MSG_ATTR(info->extack, attribute, "two levels of one name");
			return -EINVAL;
		}
		level_give_events(level, n_blocks);
		n_blocks += level->resource == FS_LEVEL_BLOCKS;
		asked->n_levels++;
	}
	return 0;
}

/* To what is kept for as long as the request lives */
static int levels_shrink(struct asked_levels *asked, struct genl_info *info)
{
	struct level *levels = NULL;

	if (asked->n_levels) {
		levels = kmemdup(asked->levels, asked->n_levels * sizeof(*levels),
				 GFP_KERNEL_ACCOUNT);
		if (!levels)
			return request_refuse(info, -ENOMEM);
	}
	kfree(asked->levels);
	asked->levels = levels;
	return 0;
}

static int levels_set(struct super_block *sb, struct genl_info *info, void *data)
{
	struct fs_request *request = request_find(sb, info);
	struct asked_levels *asked = data;

	if (!request)
		return -ENOENT;
	if (!check_is_possible(sb)) {
		NL_SET_ERR_MSG(info->extack, "a check of this filesystem could wait for ever");
		return -EOPNOTSUPP;
	}
	check_set_levels(request, asked->levels, asked->n_levels);
	asked->levels = NULL;
	return 0;
}

int request_levels_set(struct sk_buff *skb, struct genl_info *info)
{
	struct asked_levels asked = {};
	int error;

	if (!request_has(info, FS_NL_A_LEVELS))
		return -EINVAL;
	asked.levels = kcalloc(FS_EVENT_LEVELS_MAX, sizeof(*asked.levels), GFP_KERNEL);
	if (!asked.levels)
		return request_refuse(info, -ENOMEM);
	error = levels_parse(&asked, info);
	if (!error)
		error = levels_shrink(&asked, info);
	if (!error)
		error = find_filesystem(info, levels_set, &asked);
	kfree(asked.levels);
	return error;
}
